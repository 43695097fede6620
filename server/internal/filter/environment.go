package filter

import (
	"fmt"
	"sync"
	"sync/atomic"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The variables of an expression.
const (
	eventVariable = "event"
	dataVariable  = "data"
)

// eventType is the type of `event`.
var eventType = string((&tidingsv1.Event{}).ProtoReflect().Descriptor().FullName())

const (
	// maxCharacters is the length of an expression.
	maxCharacters = 4096
	// maxParseDepth is how deep the grammar of an expression nests.
	maxParseDepth = 100
	// maxNodes is the size of an expression once its macros are expanded.
	maxNodes = 10_000
)

// environment is what expressions know of a set of event types. It is safe for
// concurrent use.
type environment struct {
	set *schema.Set
	// untyped knows `event` only.
	untyped *cel.Env
	// typed are those that know `data` too, each a *cel.Env by the name of the
	// type.
	typed sync.Map
}

// latest is the environment that was made last. A server has one set of event
// types at a time, and describing a large one to CEL takes a while.
var latest atomic.Pointer[environment]

// environmentOf returns the environment of a set.
func environmentOf(set *schema.Set) (*environment, error) {
	if e := latest.Load(); e != nil && e.set == set {
		return e, nil
	}
	e, err := newEnvironment(set)
	if err != nil {
		return nil, err
	}
	latest.Store(e)
	return e, nil
}

func newEnvironment(set *schema.Set) (*environment, error) {
	// The registry takes a file that is linked into the server for any of the
	// same path. Those are files that only describe schemas, calls and errors,
	// whose own version serves for the whole set already.
	registry, err := types.NewProtoRegistry()
	if err != nil {
		return nil, err
	}
	set.Files().RangeFiles(func(file protoreflect.FileDescriptor) bool {
		err = registry.RegisterDescriptor(file)
		return err == nil
	})
	if err != nil {
		return nil, fmt.Errorf("types for CEL: %w", err)
	}
	// Last, so that the server's own Event counts wherever the set has one.
	if err := registry.RegisterDescriptor(tidingsv1.File_tidings_v1_event_proto); err != nil {
		return nil, fmt.Errorf("types for CEL: %w", err)
	}
	untyped, err := cel.NewCustomEnv(
		cel.CustomTypeProvider(registry),
		cel.CustomTypeAdapter(registry),
		cel.StdLib(),
		ext.Strings(ext.StringsVersion(5)), // The first whose functions have costs.
		cel.Variable(eventVariable, cel.ObjectType(eventType)),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EnableHiddenAccumulatorName(true),
		cel.ParserExpressionSizeLimit(maxCharacters),
		cel.ParserRecursionLimit(maxParseDepth),
		cel.ExpressionNodeLimit(maxNodes),
		cel.ASTValidators(cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals(), typeRules{}),
	)
	if err != nil {
		return nil, fmt.Errorf("environment of CEL: %w", err)
	}
	return &environment{set: set, untyped: untyped}, nil
}

// of returns what expressions know where the payload is of a type. Names that
// an expression uses are looked for in the type's package first.
func (e *environment) of(t *schema.Type) (*cel.Env, error) {
	if env, ok := e.typed.Load(t.Name); ok {
		return env.(*cel.Env), nil //nolint:forcetypeassert // The map holds nothing else.
	}
	env, err := e.untyped.Extend(
		cel.Container(string(t.Descriptor().ParentFile().Package())),
		cel.Variable(dataVariable, cel.ObjectType(t.Name)),
	)
	if err != nil {
		return nil, fmt.Errorf("environment of CEL for %s: %w", t.Name, err)
	}
	e.typed.Store(t.Name, env)
	return env, nil
}
