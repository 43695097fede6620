package page

import (
	"fmt"
	"strings"

	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/scenario"
)

// heading is what the section of a language begins with.
const heading = "### "

// renderSection describes a client. The directory of the page is beside that of
// the clients.
func renderSection(c client.Client) (string, error) {
	lines, language, err := c.ExampleLines()
	if err != nil {
		return "", err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s%s\n\n", heading, c.Language)
	text.WriteString("| | |\n|---|---|\n")
	fmt.Fprintf(&text, "| package | %s |\n", c.Package)
	fmt.Fprintf(&text, "| install | %s |\n", codeSpan(c.Install))
	fmt.Fprintf(&text, "| lowest runtime | %s |\n", c.Runtime)
	fmt.Fprintf(&text, "| transports | %s |\n", strings.Join(c.Transports, ", "))
	fmt.Fprintf(&text, "| client | [interop/%s](../interop/%s) |\n", c.Name, c.Name)
	for _, step := range scenario.Steps {
		if reason, ok := c.NotApplicable[step]; ok {
			fmt.Fprintf(&text, "| no %s | %s |\n", step, strings.ReplaceAll(strings.TrimSpace(reason), "\n", " "))
		}
	}
	fmt.Fprintf(&text, "\n```%s\n%s\n```\n", language, strings.Join(lines, "\n"))
	for _, more := range []struct {
		title string
		lines func() ([]string, string, error)
	}{
		{"With an API key or a token, over TLS", c.AccessLines},
		{"A consumer that goes on whatever becomes of its calls", c.ConsumerLines},
	} {
		lines, language, err := more.lines()
		if err != nil {
			return "", err
		}
		if len(lines) > 0 {
			fmt.Fprintf(&text, "\n%s:\n\n```%s\n%s\n```\n", more.title, language, strings.Join(lines, "\n"))
		}
	}
	return text.String(), nil
}

// codeSpan shows a text as code unless it brings its own marks.
func codeSpan(text string) string {
	if strings.Contains(text, "`") {
		return text
	}
	return "`" + text + "`"
}

// parseSections takes the sections of languages apart, by language.
func parseSections(text string) map[string]string {
	sections := make(map[string]string)
	var language string
	inBlock := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			inBlock = !inBlock
		}
		if name, ok := strings.CutPrefix(line, heading); ok && !inBlock {
			language = strings.TrimSpace(name)
		}
		if language != "" {
			sections[language] += line
		}
	}
	for language, section := range sections {
		sections[language] = strings.TrimRight(section, "\n") + "\n"
	}
	return sections
}
