package vault

import "golang.org/x/sys/windows"

// freeIn is how many bytes of a folder's volume are left for this user.
func freeIn(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return int64(free), err
}
