package main

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	webhooksv1 "example.com/tidings/examples/events/gen/github/webhooks/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// envelope makes the event that is published for a delivery.
//
// A receiver of webhooks takes the id from the header X-GitHub-Delivery, so
// that a delivery which GitHub repeats is recognised. The package has no
// headers; the place of the payload in it is as good.
func envelope(d *delivery) (*tidingsv1.Event, error) {
	data, err := anypb.New(d.message)
	if err != nil {
		return nil, err
	}
	subject, at := about(d)
	return &tidingsv1.Event{
		Id:      fmt.Sprintf("%s-%d", d.kind, d.index),
		Source:  source(d),
		Subject: subject,
		Time:    at,
		Data:    data,
	}, nil
}

// repository gives the full name of the delivery's repository, which is the key
// that github.webhooks.v1 declares for its events. It is empty for the webhook
// of an organisation.
func repository(d *delivery) string {
	event, ok := d.message.(interface{ GetRepository() *webhooksv1.Repository })
	if !ok {
		return ""
	}
	return event.GetRepository().GetFullName()
}

// source is the page of what the delivery came from.
func source(d *delivery) string {
	from := repository(d)
	if event, ok := d.message.(interface {
		GetOrganization() *webhooksv1.Organization
	}); ok && from == "" {
		from = event.GetOrganization().GetLogin()
	}
	return "https://github.com/" + from
}

// about says what in the repository the event is about and when it happened, as
// far as the payload tells. A payload has no time of its own, but what it is
// about often has.
func about(d *delivery) (subject string, at *timestamppb.Timestamp) {
	switch event := d.message.(type) {
	case *webhooksv1.PushEvent:
		return event.GetRef(), commitTime(event.GetHeadCommit())
	case *webhooksv1.StatusEvent:
		return "commit/" + event.GetSha(), event.GetUpdatedAt()
	case *webhooksv1.ReleaseEvent:
		return "releases/tag/" + event.GetRelease().GetTagName(), event.GetRelease().GetPublishedAt()
	case *webhooksv1.CheckRunEvent:
		return fmt.Sprintf("runs/%d", event.GetCheckRun().GetId()), event.GetCheckRun().GetCompletedAt()
	case *webhooksv1.WorkflowRunEvent:
		return fmt.Sprintf("actions/runs/%d", event.GetWorkflowRun().GetId()), event.GetWorkflowRun().GetUpdatedAt()
	case *webhooksv1.StarEvent:
		return "stargazers", event.GetStarredAt()
	case interface {
		GetPullRequest() *webhooksv1.PullRequest
	}:
		return fmt.Sprintf("pull/%d", event.GetPullRequest().GetNumber()), event.GetPullRequest().GetUpdatedAt()
	case interface{ GetIssue() *webhooksv1.Issue }:
		return fmt.Sprintf("issues/%d", event.GetIssue().GetNumber()), event.GetIssue().GetUpdatedAt()
	}
	return "", nil
}

// commitTime reads the time of a commit, which is text for its offset. A push
// that deletes a branch has no commit.
func commitTime(commit *webhooksv1.Commit) *timestamppb.Timestamp {
	at, err := time.Parse(time.RFC3339, commit.GetTimestamp())
	if err != nil {
		return nil
	}
	return timestamppb.New(at)
}
