package command

import (
	"net/url"
	"os"
	"strings"
)

// serverForm is what a server is named by.
const serverForm = "http(s)://host:port or grpc(s)://host:port"

// servers returns the servers that the flags or the environment name. They have the
// same protocol, so that a call may go to any of them.
func (a *App) servers() ([]*url.URL, error) {
	names := a.server
	if len(names) == 0 {
		names = strings.Split(os.Getenv(ServerVariable), ",")
	}
	if len(names) == 1 && names[0] == "" {
		names = []string{defaultServer}
	}
	var list []*url.URL
	for _, name := range names {
		u, err := url.Parse(name)
		if err != nil || u.Host == "" {
			return nil, Usagef("the server %q is not %s", name, serverForm)
		}
		switch u.Scheme {
		case "http", "https", "grpc", "grpcs":
		default:
			return nil, Usagef("the server %q is not %s", name, serverForm)
		}
		if first := append(list, u)[0]; u.Scheme != first.Scheme || u.Path != first.Path {
			return nil, Usagef("the servers %q and %q differ in more than host and port: they are to be replicas of one", first, u)
		}
		list = append(list, u)
	}
	return list, nil
}

// names joins the servers as --server takes them.
func names(servers []*url.URL) string {
	var list []string
	for _, u := range servers {
		list = append(list, u.String())
	}
	return strings.Join(list, ",")
}
