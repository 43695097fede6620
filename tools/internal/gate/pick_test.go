package gate

import (
	"strings"
	"testing"
)

// topicOption is how a message says its topic.
const topicOption = "    topic: \""

// pickService returns the first file with a service of which one RPC can go.
func pickService(t *testing.T, ws schemas) []source {
	t.Helper()
	for _, file := range ws.sources(t) {
		if services := file.desc.GetService(); len(services) > 0 && len(services[0].GetMethod()) > 1 {
			return []source{file}
		}
	}
	t.Fatal("no schema has a service with two RPCs")
	return nil
}

// pickMessage returns the first file with a message that has a field.
func pickMessage(t *testing.T, ws schemas) []source {
	t.Helper()
	for _, file := range ws.sources(t) {
		if messages := file.desc.GetMessageType(); len(messages) > 0 && len(messages[0].GetField()) > 0 {
			return []source{file}
		}
	}
	t.Fatal("no schema has a message with a field")
	return nil
}

// pickEvent returns the first file with a message that says its topic.
func pickEvent(t *testing.T, ws schemas) []source {
	t.Helper()
	for _, file := range ws.sources(t) {
		if strings.Contains(file.text, topicOption) {
			return []source{file}
		}
	}
	t.Fatal("no schema has an event")
	return nil
}

// pickPackage returns all files of the first package that no other package
// imports: renamed as a whole, it still compiles.
func pickPackage(t *testing.T, ws schemas) []source {
	t.Helper()
	packageOf, imported := map[string]string{}, map[string]bool{}
	sources := ws.sources(t)
	for _, file := range sources {
		packageOf[file.desc.GetName()] = file.desc.GetPackage()
	}
	for _, file := range sources {
		for _, path := range file.desc.GetDependency() {
			if packageOf[path] != file.desc.GetPackage() {
				imported[packageOf[path]] = true
			}
		}
	}
	var files []source
	for _, file := range sources {
		if name := file.desc.GetPackage(); !imported[name] && (len(files) == 0 || files[0].desc.GetPackage() == name) {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		t.Fatal("every package is imported by another")
	}
	return files
}
