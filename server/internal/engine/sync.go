package engine

// Sync is what a change waits for before its call returns.
type Sync string

const (
	// SyncWritten: it is handed to the operating system. It outlives the process,
	// and the machine not for sure.
	SyncWritten Sync = "written"
	// SyncFsync: it is on the disk.
	SyncFsync Sync = "fsync"
)
