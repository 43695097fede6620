package lease

// IsOnItsWay reports whether an event is on its way.
func (m *Machine) IsOnItsWay(sequence int64) bool {
	return m.entries[sequence] != nil
}

// IsRedriven reports whether an event on its way is in the dead letters, and in
// the topic perhaps no more.
func (m *Machine) IsRedriven(sequence int64) bool {
	e := m.entries[sequence]
	return e != nil && e.redriven
}
