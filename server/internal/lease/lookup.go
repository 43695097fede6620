package lease

// IsTracked reports whether an event is tracked.
func (m *Machine) IsTracked(sequence int64) bool {
	return m.entries[sequence] != nil
}

// IsRedriven reports whether an event on its way is in the dead letters, and in
// the topic perhaps no more.
func (m *Machine) IsRedriven(sequence int64) bool {
	e := m.entries[sequence]
	return e != nil && e.redriven
}
