package row

import "time"

// Module is a row of modules: a kernel module that is loaded, by one of the
// kernel's two lists or by both.
type Module struct {
	Name        string   `json:"swab.module.name" csv:"Module"`
	Size        int64    `json:"swab.module.size,omitzero" csv:"Size"`       // bytes of memory
	RefCount    Number   `json:"swab.module.references,omitzero" csv:"Used"` // not known where the kernel unloads no modules
	UsedBy      []string `json:"swab.module.used_by,omitzero" csv:"Used by"`
	State       string   `json:"swab.module.state,omitzero" csv:"State"`
	Taint       string   `json:"swab.module.taint,omitzero" csv:"Taint"` // letters as the kernel has them
	TaintText   []string `json:"swab.module.taint_text,omitzero" csv:"Taint meaning"`
	InProc      Answer   `json:"swab.module.in_proc_modules,omitzero" csv:"In /proc/modules"` // "" where the list could not be read
	InSys       Answer   `json:"swab.module.in_sys_module,omitzero" csv:"In /sys/module"`
	Address     string   `json:"swab.module.address,omitzero" csv:"Address"` // "" where the kernel hides it
	Version     string   `json:"swab.module.version,omitzero" csv:"Version"`
	SrcVersion  string   `json:"swab.module.srcversion,omitzero" csv:"Source version"` // of the one in memory
	Parameters  []string `json:"swab.module.parameters,omitzero" csv:"Parameters"`     // name=value, as now in force
	Description string   `json:"swab.module.description,omitzero" csv:"Description"`
	Author      []string `json:"swab.module.author,omitzero" csv:"Author"`
	License     string   `json:"swab.module.license,omitzero" csv:"License"`
	VerMagic    string   `json:"swab.module.vermagic,omitzero" csv:"Version magic"`
	InTree      bool     `json:"swab.module.intree,omitzero" csv:"In tree"`

	// The file that the name leads to. It need not be what was loaded.
	Path        string    `json:"file.path,omitzero" csv:"File"`
	FileSize    int64     `json:"file.size,omitzero" csv:"File size"`
	FileMTime   time.Time `json:"file.mtime,omitzero" csv:"File changed" dated:"module file changed"`
	SHA256      string    `json:"file.hash.sha256,omitzero" csv:"SHA-256"`
	InnerSHA256 string    `json:"swab.module.inner_sha256,omitzero" csv:"SHA-256 uncompressed"` // of a compressed file
	Signed      bool      `json:"swab.module.signed,omitzero" csv:"Signed"`                     // the file has a signature; not: that it is valid
	Signer      string    `json:"swab.module.signer,omitzero" csv:"Signer"`
	SignerKey   string    `json:"swab.module.signer_serial,omitzero" csv:"Signer serial"`
	SignedHash  string    `json:"swab.module.signature_hash,omitzero" csv:"Signature hash"`
	FileVersion string    `json:"swab.module.file_srcversion,omitzero" csv:"Source version of file"`

	Flag bool   `json:"swab.flag,omitzero" csv:"Flag"` // look here: Note says why
	Note string `json:"swab.note,omitzero" csv:"Note"`
}
