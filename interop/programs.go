package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/reference"
)

// programs are what there is to run.
type programs struct {
	clients []client.Client
	servers []reference.Server
	// caller is the client that calls the servers. It is there if they are.
	caller client.Client
}

// choose returns the clients that the options name and the reference servers in
// their languages, or all if none are named.
func choose(o options) (chosen programs, err error) {
	clients, err := client.LoadAll(filepath.Join(o.root, "interop"))
	if err != nil {
		return chosen, err
	}
	servers, err := reference.LoadAll(filepath.Join(o.root, "interop", "servers"))
	if err != nil {
		return chosen, err
	}
	chosen.clients = clients
	if len(o.languages) > 0 {
		chosen.clients = nil
	}
	for _, name := range o.languages {
		c, err := find(clients, name)
		if err != nil {
			return chosen, err
		}
		chosen.clients = append(chosen.clients, c)
	}
	for _, s := range servers {
		if err := accompanied(s, clients); err != nil {
			return chosen, fmt.Errorf("%s: %w", filepath.Join(s.Dir, reference.File), err)
		}
		if len(o.languages) == 0 || slices.Contains(o.languages, s.Name) {
			chosen.servers = append(chosen.servers, s)
		}
	}
	if len(chosen.servers) > 0 {
		chosen.caller, err = find(clients, "go")
	}
	return chosen, err
}

func find(clients []client.Client, name string) (client.Client, error) {
	i := slices.IndexFunc(clients, func(c client.Client) bool { return c.Name == name })
	if i < 0 {
		return client.Client{}, fmt.Errorf("there is no client interop/%s with a file %s", name, client.File)
	}
	return clients[i], nil
}

// accompanied wants a server to have a client in its language, whose file says
// what of Debian both need.
func accompanied(s reference.Server, clients []client.Client) error {
	c, err := find(clients, s.Name)
	if err == nil && s.Language != c.Language {
		err = fmt.Errorf("language: %q, and interop/%s has %q", s.Language, c.Name, c.Language)
	}
	return err
}
