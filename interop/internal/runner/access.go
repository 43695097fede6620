package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/process"
	"example.com/tidings/interop/internal/scenario"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// refusedAs is what a program says that calls without a credential.
const refusedAs = "UNAUTHENTICATED"

// access runs a client's program with a credential, first without one: it has to be
// refused, and then to publish one event. It returns what went wrong.
func (r Runner) access(ctx context.Context, c client.Client) (problem string) {
	err := r.accessTopic(ctx, c, func(ctx context.Context, conn *grpc.ClientConn, topic string) error {
		_, err := tidingsv1.NewTopicServiceClient(conn).CreateTopic(ctx, &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: topic}})
		return err
	})
	if err != nil {
		return "access: " + err.Error()
	}
	for _, credential := range []string{"", r.Secure.TokenFile} {
		var stdout, stderr = bounded{rest: maxOutput}, bounded{rest: maxOutput}
		err := process.Command{
			Line: c.Access.Run, Dir: c.Dir, Limit: r.within(runLimit), Stdout: &stdout, Stderr: &stderr,
			Env: []string{
				"TIDINGS_URL=https://" + r.Secure.HTTP, "TIDINGS_GRPC=" + r.Secure.GRPC, "TIDINGS_TOPIC=" + accessTopic(c),
				"TIDINGS_CA_FILE=" + r.Secure.CAFile, "TIDINGS_TOKEN_FILE=" + credential,
			},
		}.Run(ctx)
		said := strings.TrimSpace(stdout.contents.String())
		switch {
		case credential == "" && (err == nil || !strings.EqualFold(said, refusedAs)):
			return fmt.Sprintf("access: without a credential it ended with %v and said %q, want a failure and %s\n%s", err, said, refusedAs, end(stderr.contents.String()))
		case credential != "" && err != nil:
			return fmt.Sprintf("access: with a credential it ended with %v and said %q\n%s", err, said, end(stderr.contents.String()))
		}
	}
	err = r.accessTopic(ctx, c, func(ctx context.Context, conn *grpc.ClientConn, topic string) error {
		return scenario.VerifyPublisher(ctx, conn, topic, process.SecurePrincipal)
	})
	if err != nil {
		return "access: the runner: " + err.Error()
	}
	fmt.Fprintf(r.Out, "interop: %s: refused without an API key, and published with one over TLS\n", c.Name)
	return ""
}

func accessTopic(c client.Client) string { return "interop-access-" + c.Name }

// accessTopic calls the secure server about the topic of a client.
func (r Runner) accessTopic(ctx context.Context, c client.Client, call func(context.Context, *grpc.ClientConn, string) error) (err error) {
	key, err := os.ReadFile(r.Secure.TokenFile)
	if err != nil {
		return err
	}
	secured, err := credentials.NewClientTLSFromFile(r.Secure.CAFile, "")
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(r.Secure.GRPC, grpc.WithTransportCredentials(secured))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, verifyLimit)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+strings.TrimSpace(string(key)))
	return call(ctx, conn, accessTopic(c))
}
