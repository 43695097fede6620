package gate

import (
	"slices"
	"strings"
	"testing"
)

// The numbers of the fields of the descriptor messages, which make up the path
// of an element in a file's source code info.
const (
	filePackage   = 2
	fileMessage   = 4
	fileService   = 6
	fileOptions   = 8
	optGoPackage  = 11
	serviceMethod = 2
	messageField  = 2
	fieldNumber   = 3
)

// unusedNumber is a field number that no schema here uses or reserves.
const unusedNumber = "15000"

func deleteRPC(t *testing.T, s source) source {
	t.Helper()
	return s.replace(t, "", fileService, 0, serviceMethod, 0)
}

func addRPC(t *testing.T, s source) source {
	t.Helper()
	method := s.desc.GetService()[0].GetMethod()[0]
	added := "rpc AddedByTheGate(." + strings.TrimPrefix(method.GetInputType(), ".") +
		") returns (." + strings.TrimPrefix(method.GetOutputType(), ".") + ");\n  "
	return s.insert(t, added, fileService, 0, serviceMethod, 0)
}

func renumberField(t *testing.T, s source) source {
	t.Helper()
	return s.replace(t, unusedNumber, fileMessage, 0, messageField, 0, fieldNumber)
}

func addField(t *testing.T, s source) source {
	t.Helper()
	return s.insert(t, "string added_by_the_gate = "+unusedNumber+";\n  ", fileMessage, 0, messageField, 0)
}

func renamePackage(t *testing.T, s source) source {
	t.Helper()
	return s.replace(t, "package renamed.by.the.gate.v1;", filePackage)
}

func changeGoPackage(t *testing.T, s source) source {
	t.Helper()
	return s.replace(t, `option go_package = "example.org/changed/by/the/gate";`, fileOptions, optGoPackage)
}

func changeTopic(_ *testing.T, s source) source {
	s.text = strings.Replace(s.text, topicOption, topicOption+"other-", 1)
	return s
}

// replace puts text in the place of the element that a path leads to.
func (s source) replace(t *testing.T, text string, path ...int32) source {
	t.Helper()
	start, end := s.span(t, path)
	s.text = s.text[:start] + text + s.text[end:]
	return s
}

// insert puts text before the element that a path leads to.
func (s source) insert(t *testing.T, text string, path ...int32) source {
	t.Helper()
	start, _ := s.span(t, path)
	s.text = s.text[:start] + text + s.text[start:]
	return s
}

// span returns where the element stands in the text, in bytes.
func (s source) span(t *testing.T, path []int32) (start, end int) {
	t.Helper()
	for _, location := range s.desc.GetSourceCodeInfo().GetLocation() {
		if !slices.Equal(location.GetPath(), path) {
			continue
		}
		span := location.GetSpan()
		if len(span) == 3 { // Begins and ends on the same line.
			span = []int32{span[0], span[1], span[0], span[2]}
		}
		return s.offset(span[0], span[1]), s.offset(span[2], span[3])
	}
	t.Fatalf("%s has no element at %v", s.path, path)
	return 0, 0
}

// offset turns a line and a column, both from zero, into an offset in bytes.
func (s source) offset(line, column int32) int {
	offset := 0
	for range line {
		offset += strings.IndexByte(s.text[offset:], '\n') + 1
	}
	return offset + int(column)
}
