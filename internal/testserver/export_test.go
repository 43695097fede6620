package testserver

import "os"

// Ask is the part of StopBy that doesn't wait.
func (p *Process) Ask(signal os.Signal) error { return p.ask(signal) }
