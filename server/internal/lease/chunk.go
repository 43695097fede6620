package lease

import storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"

// overhead bounds the size of a change, or of an event or outcome in it, aside
// from what sizeOf counts.
const overhead = 96

// Entries puts changes into journal entries of at most about chunkBytes. Each
// entry may be stored without those after it: what the state then is, it was
// while the changes were made.
func Entries(changes []*storagev1.JournalChange, chunkBytes int) []*storagev1.JournalEntry {
	var entries []*storagev1.JournalEntry
	size := 0
	for _, change := range changes {
		added := sizeOf(change)
		if len(entries) == 0 || size+added > chunkBytes {
			entries = append(entries, &storagev1.JournalEntry{Format: format})
			size = 0
		}
		last := entries[len(entries)-1]
		last.Changes = append(last.Changes, change)
		size += added
	}
	return entries
}

// sizeOf returns what the encoded change is smaller than.
func sizeOf(change *storagev1.JournalChange) int {
	const (
		varint = 10
		fixed  = 8
	)
	size := overhead
	size += varint * len(change.GetDelivered().GetSequences())
	size += fixed * len(change.GetDelivered().GetKeys())
	size += (varint + fixed) * len(change.GetBlocked().GetSequences())
	size += varint * len(change.GetSettled().GetSequences())
	size += len(change.GetDeferred().GetReason())
	size += len(change.GetDeadLettered().GetReason())
	size += varint * len(change.GetFiled().GetSequences())
	size += (varint + varint + fixed) * len(change.GetRedriven().GetSequences())
	size += len(change.GetOwned().GetServer())
	for _, event := range change.GetRestored().GetEvents() {
		size += overhead + len(event.GetReason())
	}
	size += overhead * len(change.GetRestored().GetOutcomes())
	return size
}
