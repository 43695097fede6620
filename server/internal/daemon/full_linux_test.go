package daemon_test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"

	"example.com/tidings/server/internal/daemon"
)

// A server whose volume is full refuses events and does everything else; once
// topics are deleted it takes events again, and starts at whatever it holds.
func TestFullVolume(t *testing.T) {
	t.Parallel()
	volume := t.TempDir()
	if err := unix.Mount("tmpfs", volume, "tmpfs", 0, "size=41943040"); err != nil {
		t.Skipf("NOT CHECKED: a volume can't be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(volume, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	cfg := daemon.DefaultConfig()
	cfg.DataDir = filepath.Join(volume, "data")
	p := start(t, cfg)
	kept := 0 // Events of the topic kept.
	createTopic(t, p, "kept")
	if _, err := tidingsv1.NewSubscriptionServiceClient(p.dial(t)).CreateSubscription(t.Context(), &tidingsv1.CreateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{Name: "keeper", Topic: "kept"},
	}); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		name := fmt.Sprint("filling-", round)
		createTopic(t, p, name)
		if err := publishLarge(t, p, "kept", fmt.Sprint(round)); err != nil {
			t.Fatal(err)
		}
		kept++
		events := 0
		for ; events < 1000; events++ {
			if err := publishLarge(t, p, name, fmt.Sprint(events)); err != nil {
				if reasonOf(err) != "STORAGE_FULL" {
					t.Fatal(err)
				}
				break
			}
		}
		if events < 150 || events == 1000 {
			t.Errorf("%d events of 100 kB in a volume of 40 MB", events)
		}
		if code, text := get(t, p, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, "full") {
			t.Errorf("full, /readyz says %d %s", code, text)
		}
		if _, text := get(t, p, "/metrics"); !strings.Contains(text, "tidings_storage_full 1") {
			t.Error("full, the metrics don't say so")
		}
		settleOne(t, p)
		if n := countEvents(t, p, name); n != events {
			t.Errorf("%d events of %d", n, events)
		}
		p.end(syscall.SIGKILL)
		p = start(t, cfg)
		if n := countEvents(t, p, name); n != events {
			t.Errorf("after a restart %d events of %d", n, events)
		}
		if _, err := tidingsv1.NewTopicServiceClient(p.dial(t)).DeleteTopic(t.Context(), &tidingsv1.DeleteTopicRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
		soon(t, "room", func() bool {
			code, _ := get(t, p, "/readyz")
			_, metrics := get(t, p, "/metrics")
			return code == http.StatusOK && strings.Contains(metrics, "tidings_storage_full 0") && freeBytes(t, volume) > 25<<20
		})
	}
	if n := countEvents(t, p, "kept"); n != kept {
		t.Errorf("%d events of %d are kept", n, kept)
	}
	if code := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// A server doesn't start on a storage that lacks something, and says what can be
// done.
func TestDamagedStorage(t *testing.T) {
	t.Parallel()
	cfg := daemon.DefaultConfig()
	cfg.DataDir = t.TempDir()
	p := start(t, cfg)
	createTopic(t, p, "kept")
	if err := publishLarge(t, p, "kept", "1"); err != nil {
		t.Fatal(err)
	}
	p.end(syscall.SIGKILL)
	logs, err := filepath.Glob(filepath.Join(cfg.DataDir, "store", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	for _, log := range logs {
		if err := os.Truncate(log, 1000); err != nil {
			t.Fatal(err)
		}
	}
	cfg.HTTPAddr, cfg.GRPCAddr = "127.0.0.1:0", "127.0.0.1:0"
	encoded, err := json.Marshal(cfg) //nolint:musttag // Read by the same program.
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // It is this program.
	cmd.Env = append(os.Environ(), childConfig+"="+string(encoded))
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "are missing, which were acknowledged") || !strings.Contains(string(out), "tidings storage repair") {
		t.Errorf("ended with %v and %s", err, out)
	}
}

func createTopic(t *testing.T, p *process, name string) {
	t.Helper()
	if _, err := tidingsv1.NewTopicServiceClient(p.dial(t)).CreateTopic(t.Context(), &tidingsv1.CreateTopicRequest{
		Topic: &tidingsv1.Topic{Name: name},
	}); err != nil {
		t.Fatal(err)
	}
}

// publishLarge publishes an event of 100 kB that can't be compressed.
func publishLarge(t *testing.T, p *process, topic, id string) error {
	t.Helper()
	random := make([]byte, 2000)
	attributes := make(map[string]string)
	for i := range 25 {
		_, _ = rand.Read(random) // It never fails.
		attributes[fmt.Sprint("random", i)] = hex.EncodeToString(random)
	}
	data, err := anypb.New(&ordersv1.OrderCancelled{
		OrderId: "7", Reason: ordersv1.CancellationReason_CANCELLATION_REASON_CUSTOMER_REQUEST, CancelledAt: timestamppb.New(time.Unix(1, 0)),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tidingsv1.NewPublisherServiceClient(p.dial(t)).Publish(t.Context(), &tidingsv1.PublishRequest{
		Topic: topic, Events: []*tidingsv1.Event{{Id: id, Source: "/" + topic, Data: data, Attributes: attributes}},
	})
	return err
}

// reasonOf returns the reason of an error.
func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func get(t *testing.T, p *process, path string) (code int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.HTTP+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // It was read.
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// settleOne settles the next event of the subscription keeper.
func settleOne(t *testing.T, p *process) {
	t.Helper()
	client := tidingsv1.NewConsumerServiceClient(p.dial(t))
	pulled, err := client.Pull(t.Context(), &tidingsv1.PullRequest{Subscription: "keeper", MaxEvents: 1})
	if err != nil || len(pulled.GetDeliveries()) != 1 {
		t.Fatal(pulled, err)
	}
	settled, err := client.Settle(t.Context(), &tidingsv1.SettleRequest{
		Subscription: "keeper",
		Settlements: []*tidingsv1.Settlement{{
			DeliveryToken: pulled.GetDeliveries()[0].GetDeliveryToken(),
			Action:        &tidingsv1.Settlement_Ack{Ack: &tidingsv1.Ack{}},
		}},
	})
	if err != nil {
		t.Fatal(settled, err)
	}
}

func countEvents(t *testing.T, p *process, topic string) (events int) {
	t.Helper()
	stream, err := tidingsv1.NewReaderServiceClient(p.dial(t)).Read(t.Context(), &tidingsv1.ReadRequest{
		Topic: topic,
		Stop:  &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
		events += len(response.GetEvents().GetEvents())
	}
}

func freeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var volume unix.Statfs_t
	if err := unix.Statfs(dir, &volume); err != nil {
		t.Fatal(err)
	}
	return int64(volume.Bavail) * volume.Bsize
}

// soon waits until something is so.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(2 * time.Minute); !so(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
