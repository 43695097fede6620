package engine

// Gone returns a channel that is closed once a topic is deleted, by whichever
// server: JetStream's own consumers take a quarter of a minute to notice.
func (e *Engine) Gone(topic *Topic) <-chan struct{} {
	t := e.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	uid := topic.Config.GetUid()
	known := t.byName[topic.Name]
	if known == nil || known.Config.GetUid() != uid || known.Config.GetDeleting() {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	gone := t.gone[uid]
	if gone == nil {
		gone = make(chan struct{})
		t.gone[uid] = gone
	}
	return gone
}

// tellGone closes the channel of a topic. t.mu is held.
func (t *topics) tellGone(topic *Topic) {
	if topic == nil {
		return
	}
	uid := topic.Config.GetUid()
	if gone := t.gone[uid]; gone != nil {
		close(gone)
		delete(t.gone, uid)
	}
}
