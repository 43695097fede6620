package lease

// queue is a heap of entries by rank, then sequence. Each entry knows its index
// in it.
type queue []ranked

// ranked is an entry with what it is compared by, so that comparing needn't
// follow the pointer.
type ranked struct {
	rank     int64
	sequence int64
	entry    *entry
}

func (r *ranked) before(other *ranked) bool {
	return r.rank < other.rank || r.rank == other.rank && r.sequence < other.sequence
}

func (q *queue) push(e *entry, rank int64) {
	*q = append(*q, ranked{rank: rank, sequence: e.sequence, entry: e})
	q.up(len(*q) - 1)
}

// remove takes the entry at an index out.
func (q *queue) remove(index int) {
	last := len(*q) - 1
	moved := (*q)[last]
	(*q)[last] = ranked{}
	*q = (*q)[:last]
	if index == last {
		return
	}
	(*q)[index] = moved
	if !q.down(index) {
		q.up(index)
	}
}

// rerank gives the entry at an index another rank.
func (q *queue) rerank(index int, rank int64) {
	(*q)[index].rank = rank
	if !q.down(index) {
		q.up(index)
	}
}

// up brings the element at an index to its place among those above it.
func (q *queue) up(index int) {
	items := *q
	moving := items[index]
	for index > 0 {
		parent := (index - 1) / 2
		if !moving.before(&items[parent]) {
			break
		}
		items[index] = items[parent]
		items[index].entry.index = int32(index)
		index = parent
	}
	items[index] = moving
	moving.entry.index = int32(index)
}

// down brings the element at an index to its place among those below it, and
// reports whether it moved.
func (q *queue) down(index int) bool {
	items := *q
	moving, start := items[index], index
	for {
		child := 2*index + 1
		if child >= len(items) {
			break
		}
		if right := child + 1; right < len(items) && items[right].before(&items[child]) {
			child = right
		}
		if !items[child].before(&moving) {
			break
		}
		items[index] = items[child]
		items[index].entry.index = int32(index)
		index = child
	}
	items[index] = moving
	moving.entry.index = int32(index)
	return index != start
}
