package retention

// MostExpired is what one sweep deletes of one tenant.
const MostExpired = mostExpired
