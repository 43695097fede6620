package schema

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	webhooksv1 "example.com/tidings/examples/events/gen/github/webhooks/v1"
	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
)

// costEvent is a kind of event whose checks are timed.
type costEvent struct {
	name  string
	rules bool // Whether an event without fields breaks one.
	// make makes the event of a number: all differ, and have the same size.
	make func(number int) proto.Message
}

func costEvents() []costEvent {
	return []costEvent{
		{"order placed (rules, CEL)", true, costOrderPlaced},
		{"order paid (rules)", true, costOrderPaid},
		{"git user (no rules)", false, costGitUser},
		{"push of 1 commit", true, func(number int) proto.Message { return costPush(number, 1) }},
		{"push of 20 commits", true, func(number int) proto.Message { return costPush(number, 20) }},
	}
}

var costTime = timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC))

// costOrderPlaced is the payload of the benchmark's event of 264 bytes.
func costOrderPlaced(number int) proto.Message {
	return &ordersv1.OrderPlaced{
		OrderId:    fmt.Sprintf("order-%012d", number),
		CustomerId: fmt.Sprintf("customer-%06d", number),
		Email:      fmt.Sprintf("customer-%06d@shop.example", number),
		Items: []*ordersv1.OrderItem{{
			Sku: "BOOK-0042", Quantity: 2, UnitPrice: &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 1999},
		}},
		Total:    &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 3998},
		PlacedAt: costTime,
	}
}

func costOrderPaid(number int) proto.Message {
	return &ordersv1.OrderPaid{
		OrderId:   fmt.Sprintf("order-%012d", number),
		PaymentId: fmt.Sprintf("payment-%012d", number),
		Amount:    &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 3998},
		PaidAt:    costTime,
	}
}

func costGitUser(number int) proto.Message {
	return &webhooksv1.CommitUser{
		Name:     new(fmt.Sprintf("Contributor %06d", number)),
		Email:    new(fmt.Sprintf("contributor-%06d@code.example", number)),
		Username: new(fmt.Sprintf("contributor-%06d", number)),
		Date:     costTime,
	}
}

// costPush is a delivery with every field of a repository and of users, as
// GitHub sends them.
func costPush(number, commits int) proto.Message {
	owner := &webhooksv1.User{Login: "octo-org", Id: 6_811_672}
	repository := &webhooksv1.Repository{
		Id: 135_493_233, Name: "octo-repo", FullName: "octo-org/octo-repo", Owner: owner,
		CreatedAt: costTime, UpdatedAt: costTime, PushedAt: costTime,
	}
	sender := &webhooksv1.User{Login: fmt.Sprintf("octocat-%06d", number), Id: 21_031_067}
	for _, message := range []proto.Message{owner, repository, sender} {
		fillScalars(message.ProtoReflect())
	}
	push := &webhooksv1.PushEvent{
		Repository: repository, Sender: sender,
		Ref: "refs/heads/main", Before: costCommitID(number), After: costCommitID(number + 1),
		Created: new(false), Deleted: new(false), Forced: new(false),
		Compare: new("https://code.example/octo-org/octo-repo/compare/6113728f27ae...7113728f27ae"),
		Pusher:  &webhooksv1.CommitUser{Name: new("octocat"), Email: new("octocat@code.example")},
	}
	for i := range commits {
		author := costGitUser(number).(*webhooksv1.CommitUser)
		push.Commits = append(push.Commits, &webhooksv1.Commit{
			Id: costCommitID(number + i), TreeId: new(costCommitID(number + i + 1)), Distinct: new(true),
			Message:   new("Say in the list of topics how many events each of them holds\n\nIt was asked for often."),
			Timestamp: new("2026-01-02T03:04:05+01:00"),
			Url:       new("https://code.example/octo-org/octo-repo/commit/" + costCommitID(number+i)),
			Author:    author, Committer: author,
			Added:    []string{"internal/topics/count.go"},
			Modified: []string{"internal/topics/list.go", "internal/topics/list_test.go", "docs/topics.md"},
		})
	}
	push.HeadCommit = push.GetCommits()[commits-1]
	return push
}

func costCommitID(number int) string { return fmt.Sprintf("%040x", number+0x6113728f27ae) }

// fillScalars sets every scalar field of a message that isn't set.
func fillScalars(message protoreflect.Message) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.IsList() || field.IsMap() || message.Has(field) {
			continue
		}
		switch field.Kind() {
		case protoreflect.StringKind:
			text := "text of " + string(field.Name())
			if strings.HasSuffix(string(field.Name()), "url") {
				text = "https://code.example/repos/octo-org/octo-repo/" + string(field.Name())
			}
			message.Set(field, protoreflect.ValueOfString(text))
		case protoreflect.BoolKind:
			message.Set(field, protoreflect.ValueOfBool(true))
		case protoreflect.Int32Kind:
			message.Set(field, protoreflect.ValueOfInt32(42))
		case protoreflect.Int64Kind:
			message.Set(field, protoreflect.ValueOfInt64(42))
		default:
		}
	}
}
