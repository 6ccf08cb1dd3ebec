package evidence

// readmeText is README.txt, the first entry of each package. It is there for who
// has nothing else: so it says how to read and check the package without Swab,
// and what to do with one that was cut off.
const readmeText = `This is an investigation package: what one device held at one time, taken by Swab.

What is where
  CollectionSummaryReport.xls   one row per data point: what was asked for, what came of it.
                                The same is in "Forensics Collection Summary.csv".
  <folders>/<name>.jsonl        tables, one JSON object per line. A table that goes on is in
                                <name>.2.jsonl, <name>.3.jsonl and so on, in this order.
  <folders>/<name>.csv          the same rows for people and spreadsheets. A cell that begins with
                                = + - @ has a ' before it, so that no spreadsheet runs it. The CSV
                                of a very large table is left out.
  fs/                           files of the device as they were: fs/$rootfs$/etc/passwd is
                                /etc/passwd, fs/C/Windows is C:\Windows. In names %XX stands for
                                one byte that some system does not allow; manifest.json has the
                                name as it was.
  plan.json                     what was to be collected.
  manifest.json                 the account: every entry with its SHA-256, and for every item of
                                the plan what came of it and why.
  manifest.dsse                 the device's signature over manifest.json.

Handle with care: files under fs/ and recovered/ may be hostile. Open them on no machine you need.

How to check it with Swab
  swab verify THIS.zip          with THIS.zip.receipt beside it, if a server gave one.

How to check it by hand
  1. The SHA-256 of the whole file is in the receipt (JSON, base64 in "payload").
  2. The SHA-256 of each entry is in manifest.json, which lists all entries but itself and
     manifest.dsse, in their order.
  3. The SHA-256 of manifest.json is in manifest.dsse (JSON, base64 in "payload"), which is a DSSE
     envelope signed with Ed25519. The key is in manifest.json: device.key, or the last one of
     device.succession. The first 20 bytes of the SHA-256 of device.key are the device's id.
  4. The SHA-256 of plan.json is profile.digest in manifest.json, and each of its items has exactly
     one line in the ledger.
  That the device is the one you think, only its id from another source tells, or the receipt.

If the package was cut off
  It does not end in manifest.json and manifest.dsse. What came before the cut is still good to
  read, but nothing proves it: swab verify --salvage lists what is whole. By hand, "zip -FF" or
  "bsdtar -xf" read the entries from the front. Entries are written one after another; the small
  ones carry their sizes in front, the large ones are Deflate and end by themselves.

The format is described in docs/package-format.md of Swab's sources.
`
