package schemarules

import (
	"context"

	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/tools/internal/contract"
)

// A state is the schemas at one time.
type state struct {
	// files are those that aren't imported from elsewhere: the ones to check.
	files []protoreflect.FileDescriptor
	// all are the imported files too.
	all     []protoreflect.FileDescriptor
	options contract.Options
}

// A change is what a breaking rule looks at.
type change struct {
	check.ResponseWriter

	was, is state
}

// onChange makes a handler of a function that looks at a change.
func onChange(handle func(change) error) check.RuleHandler {
	return check.RuleHandlerFunc(func(_ context.Context, writer check.ResponseWriter, request check.Request) error {
		was, is := request.AgainstFileDescriptors(), request.FileDescriptors()
		return handle(change{
			ResponseWriter: writer,
			was:            state{files: files(was, false), all: files(was, true), options: contract.New(files(was, true))},
			is:             state{files: files(is, false), all: files(is, true), options: contract.New(files(is, true))},
		})
	})
}

// A subject is what a lint rule looks at.
type subject struct {
	check.ResponseWriter
	state
}

// onState makes a handler of a function that looks at the schemas as they are.
func onState(handle func(subject) error) check.RuleHandler {
	return check.RuleHandlerFunc(func(_ context.Context, writer check.ResponseWriter, request check.Request) error {
		is := request.FileDescriptors()
		return handle(subject{
			ResponseWriter: writer,
			state:          state{files: files(is, false), all: files(is, true), options: contract.New(files(is, true))},
		})
	})
}
