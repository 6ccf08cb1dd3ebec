// Package pages is what people see in their browser when they sign in: forms for
// password, one-time code and device code, their account, and what went wrong.
//
// It turns values into HTML and does nothing else: it knows no request, keeps
// nothing and decides nothing. Whoever handles a request fills in a [Page] and
// hands it to [Render], which sets the headers as well. Forms come back with the
// fields that are named here, as POST to the address that the page was given.
//
// A page is one answer: no script, its style within it and named by its hash in
// the Content-Security-Policy, nothing from elsewhere. Whatever stands on a page
// may come from somebody hostile (a person's name, an application's, what a
// browser calls itself): it is text, set apart so that its direction and length
// change nothing around it.
package pages
