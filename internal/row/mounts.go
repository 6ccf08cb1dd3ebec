package row

// Mount is a row of mounts: one mount of one mount namespace.
type Mount struct {
	Point       string `json:"swab.mount.point" csv:"Mounted on"` // seen from the root of the process that was asked
	Source      string `json:"swab.mount.source,omitzero" csv:"Device"`
	Type        string `json:"swab.mount.type" csv:"Type"`
	Options     string `json:"swab.mount.options" csv:"Options"`
	Super       string `json:"swab.mount.super_options,omitzero" csv:"File system options"`
	Root        string `json:"swab.mount.root" csv:"Root"` // what of the file system is mounted: "/", or a bind mount's directory
	Propagation string `json:"swab.mount.propagation,omitzero" csv:"Propagation"`
	ID          int    `json:"swab.mount.id" csv:"Id"`
	Parent      int    `json:"swab.mount.parent" csv:"Parent"`
	Device      string `json:"file.device" csv:"Device number"` // major:minor

	// How full it is; none of file systems that hold no files, or that were not asked.
	Total     Number `json:"swab.mount.total,omitzero" csv:"Total bytes"`
	Free      Number `json:"swab.mount.free,omitzero" csv:"Free bytes"`
	Available Number `json:"swab.mount.available,omitzero" csv:"Available bytes"` // to users that are not root
	Files     Number `json:"swab.mount.files,omitzero" csv:"Inodes"`              // not known where their number is not fixed
	FilesFree Number `json:"swab.mount.files_free,omitzero" csv:"Inodes free"`
	NotAsked  string `json:"swab.mount.not_asked,omitzero" csv:"Not asked"` // why there are no figures

	MountNS uint64 `json:"swab.mntns.inode" csv:"Mount namespace"`
	PID     int    `json:"process.pid" csv:"PID"` // of the process that was asked
	Process string `json:"process.name,omitzero" csv:"Process"`
	Flag    bool   `json:"swab.flag,omitzero" csv:"Flag"` // look here: Note says why
	Note    string `json:"swab.note,omitzero" csv:"Note"`
}
