package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// access is who may use the folder: the system, administrators and its owner,
// and nothing is inherited from above.
const access = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"

// openFile opens the state file in dir, for this process alone where it is to be
// changed.
func openFile(dir string, change bool) (handle, error) {
	dir = filepath.Clean(dir)
	if change {
		if err := makeDir(dir); err != nil {
			return handle{}, err
		}
	}
	if err := checkDir(dir); err != nil {
		return handle{}, fmt.Errorf("%s: %w", dir, err)
	}
	path := filepath.Join(dir, Name)
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return handle{}, err
	}
	mode, create := uint32(windows.GENERIC_READ), uint32(windows.OPEN_EXISTING)
	if change {
		mode, create = windows.GENERIC_READ|windows.GENERIC_WRITE, windows.OPEN_ALWAYS
	}
	// Readers are let in beside the agent, other writers are not.
	share := uint32(windows.FILE_SHARE_READ)
	if !change {
		share |= windows.FILE_SHARE_WRITE
	}
	h, err := windows.CreateFile(name, mode, share, nil, create, windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
			return handle{}, fmt.Errorf("%s: %w", path, errLocked)
		}
		return handle{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var st windows.ByHandleFileInformation
	err = windows.GetFileInformationByHandle(h, &st)
	const special = windows.FILE_ATTRIBUTE_REPARSE_POINT | windows.FILE_ATTRIBUTE_DIRECTORY
	if err == nil && (st.FileAttributes&special != 0 || st.NumberOfLinks != 1) {
		err = errNotFile
	}
	if err != nil {
		windows.CloseHandle(h)
		return handle{}, fmt.Errorf("%s: %w", path, err)
	}
	return handle{os.NewFile(uintptr(h), path)}, nil
}

func makeDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	sd, err := windows.SecurityDescriptorFromString(access)
	if err != nil {
		return fmt.Errorf("access of %s: %w", dir, err)
	}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	if err := windows.CreateDirectory(name, sa); err != nil && !errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	return nil
}

// checkDir refuses a folder that is a link, or that somebody else owns.
func checkDir(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !st.IsDir() || st.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0 {
		return errors.New("it is a link or no folder; name a folder of the agent's own")
	}
	sd, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("owner: %w", err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("owner: %w", err)
	}
	me, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("who am I: %w", err)
	}
	if owner.Equals(me.User.Sid) || owner.IsWellKnown(windows.WinBuiltinAdministratorsSid) || owner.IsWellKnown(windows.WinLocalSystemSid) {
		return nil
	}
	return fmt.Errorf("it belongs to %s", owner)
}
