package main

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/tools/internal/contract"
)

// The names in the contract that this program reads.
const (
	reasonsName   = "ErrorReason"
	codePrefix    = "STATUS_CODE_"
	mayBeRetried  = "RETRY_BACKOFF"
	codeCancelled = "CANCELLED"
	codeDeadline  = "DEADLINE_EXCEEDED"
)

// serviceConfig is grpc.service_config.ServiceConfig in JSON, as far as it is used.
type serviceConfig struct {
	LoadBalancingConfig []map[string]struct{} `json:"loadBalancingConfig"`
	HealthCheckConfig   healthCheckConfig     `json:"healthCheckConfig"`
	MethodConfig        []methodConfig        `json:"methodConfig"`
}

type healthCheckConfig struct {
	ServiceName string `json:"serviceName"` // Empty: the server as a whole.
}

type methodConfig struct {
	Name        []methodName `json:"name"`
	RetryPolicy retryPolicy  `json:"retryPolicy"`
}

type methodName struct {
	Service protoreflect.FullName `json:"service"`
	Method  protoreflect.Name     `json:"method"`
}

type retryPolicy struct {
	MaxAttempts          int      `json:"maxAttempts"`
	InitialBackoff       string   `json:"initialBackoff"`
	MaxBackoff           string   `json:"maxBackoff"`
	BackoffMultiplier    float64  `json:"backoffMultiplier"`
	RetryableStatusCodes []string `json:"retryableStatusCodes"`
}

// generate returns the config of a contract, in JSON with a line for each thing.
func generate(files *protoregistry.Files) (string, error) {
	codes, err := retryableCodes(files)
	if err != nil {
		return "", err
	}
	config, err := json.MarshalIndent(serviceConfig{
		LoadBalancingConfig: []map[string]struct{}{{"round_robin": {}}},
		MethodConfig: []methodConfig{{
			Name: idempotentMethods(files),
			// Together some 7 seconds, in which a cluster finds another leader, with
			// as many attempts as grpc-go and gRPC's core make at most.
			RetryPolicy: retryPolicy{
				MaxAttempts: 5, InitialBackoff: "0.2s", MaxBackoff: "5s", BackoffMultiplier: 3,
				RetryableStatusCodes: codes,
			},
		}},
	}, "", "  ")
	return string(config) + "\n", err
}

// retryableCodes are the status codes that say by themselves that a call may be made
// again: every reason of theirs says so. Left out are those with which a call ends that
// its caller has given up, or whose time is over.
func retryableCodes(files *protoregistry.Files) ([]string, error) {
	packages := contract.Files(files)
	options := contract.New(slices.Concat(slices.Collect(maps.Values(packages))...))
	retryable := make(map[string]bool)
	for name := range packages {
		found, err := files.FindDescriptorByName(name.Append(reasonsName))
		if errors.Is(err, protoregistry.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		enum, ok := found.(protoreflect.EnumDescriptor)
		if !ok {
			continue
		}
		for i := range enum.Values().Len() {
			value := enum.Values().Get(i)
			if value.Number() == 0 { // Unspecified: never sent.
				continue
			}
			code, err := options.Says(value, "code")
			if err != nil {
				return nil, err
			}
			retry, err := options.Says(value, "retry")
			if err != nil {
				return nil, err
			}
			code = strings.TrimPrefix(code, codePrefix)
			known, seen := retryable[code]
			retryable[code] = (known || !seen) && retry == mayBeRetried
		}
	}
	delete(retryable, codeCancelled)
	delete(retryable, codeDeadline)
	maps.DeleteFunc(retryable, func(_ string, may bool) bool { return !may })
	if len(retryable) == 0 {
		return nil, errors.New("no code may be retried")
	}
	return slices.Sorted(maps.Keys(retryable)), nil
}

// idempotentMethods are the unary methods that the contract says are idempotent, in
// the order of packages, files and methods. gRPC retries no stream that has begun to
// answer; clients go on by themselves with cursors and tokens.
func idempotentMethods(files *protoregistry.Files) []methodName {
	var list []methodName
	packages := contract.Files(files)
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		for _, file := range packages[name] {
			for i := range file.Services().Len() {
				service := file.Services().Get(i)
				for j := range service.Methods().Len() {
					method := service.Methods().Get(j)
					options, _ := method.Options().(*descriptorpb.MethodOptions)
					if method.IsStreamingClient() || method.IsStreamingServer() ||
						options.GetIdempotencyLevel() == descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN {
						continue
					}
					list = append(list, methodName{service.FullName(), method.Name()})
				}
			}
		}
	}
	return list
}
