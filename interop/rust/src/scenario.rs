//! The steps. README.md in the directory above says what they are.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use example_tidings::{
    conformance::v1::EveryKind,
    options::v1::TopicSettings,
    v1::{
        Ack, CreateSubscriptionRequest, CreateTopicRequest, Event, GetTopicRequest, Nack, NackKind,
        ReadRequest, ReadResponse, RetryPolicy, Settlement, SettlementStatus, StartBoundary,
        StartPosition, StopPosition, Subscription, Topic, read_response::Frame, settlement::Action,
        start_position, stop_position,
    },
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

use crate::{
    golden,
    server::{Server, event, request},
    values,
};

pub const SOURCE: &str = "/interop";
const DESCRIPTION: &str = "interop";
/// The id of the event that is published while the topic is read.
const TAILED: &str = "tailed";

pub const STEPS: [&str; 10] = [
    "topic",
    "publish",
    "refused",
    "read",
    "tail",
    "consume",
    "deadline",
    "cancel",
    "golden",
    "golden-json",
];

/// One run of the steps.
pub struct Scenario {
    pub server: Server,
    pub topic: String,
    pub golden: PathBuf,
    pub out: PathBuf,
}

impl Scenario {
    pub async fn perform(&mut self, step: &str) -> Result<()> {
        match step {
            "topic" => self.create_topic().await,
            "publish" => self.publish().await,
            "refused" => self.publish_invalid().await,
            "read" => self.read().await,
            "tail" => self.tail().await,
            "consume" => self.consume().await,
            "deadline" => self.exceed_deadline().await,
            "cancel" => self.cancel().await,
            "golden" => golden::copy(&self.golden, &self.out),
            "golden-json" => golden::copy_json(&self.golden, &self.out),
            _ => bail!("there is no such step"),
        }
    }

    async fn create_topic(&mut self) -> Result<()> {
        let create = CreateTopicRequest {
            topic: Some(Topic {
                name: self.topic.clone(),
                settings: Some(TopicSettings {
                    description: DESCRIPTION.to_string(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
        };
        let topics = &mut self.server.topics;
        topics.create_topic(create.clone()).await?;
        let get = GetTopicRequest {
            name: self.topic.clone(),
        };
        let topic = topics
            .get_topic(get)
            .await?
            .into_inner()
            .topic
            .context("no topic")?;
        let description = topic.settings.unwrap_or_default().description;
        ensure!(
            description == DESCRIPTION,
            "the description is {description:?}"
        );
        expect(
            topics.create_topic(create).await,
            Code::AlreadyExists,
            "TOPIC_ALREADY_EXISTS",
            "",
        )
    }

    async fn publish(&mut self) -> Result<()> {
        let events = values::all()
            .iter()
            .map(|value| event(&value.name, value))
            .collect::<Result<Vec<_>>>()?;
        let count = events.len();
        let request = request(&self.topic, events);
        let first = self
            .server
            .publisher
            .publish(request.clone())
            .await?
            .into_inner()
            .receipts;
        let again = self
            .server
            .publisher
            .publish(request)
            .await?
            .into_inner()
            .receipts;
        ensure!(
            first.len() == count && again.len() == count,
            "{} and {} receipts, want {count}",
            first.len(),
            again.len(),
        );
        let mut last = 0;
        for (receipt, repeated) in first.iter().zip(&again) {
            ensure!(
                !receipt.duplicate && receipt.sequence > last,
                "the receipt {receipt:?} after the sequence {last}"
            );
            ensure!(
                repeated.duplicate && repeated.sequence == receipt.sequence,
                "the receipt {receipt:?}, and when repeated {repeated:?}"
            );
            last = receipt.sequence;
        }
        Ok(())
    }

    async fn publish_invalid(&mut self) -> Result<()> {
        let value = EveryKind {
            email: "not-an-address".to_string(),
            ..values::full()
        };
        let request = request(&self.topic, vec![event("refused", &value)?]);
        let result = self.server.publisher.publish(request).await;
        expect(
            result,
            Code::InvalidArgument,
            "EVENT_INVALID",
            "events[0].data.email",
        )
    }

    async fn read(&mut self) -> Result<()> {
        let request = ReadRequest {
            topic: self.topic.clone(),
            start: Some(from(StartBoundary::Earliest)),
            stop: Some(StopPosition {
                position: Some(stop_position::Position::CaughtUp(true)),
            }),
            ..Default::default()
        };
        let mut frames = self.server.reader.read(request).await?.into_inner();
        let mut events = Vec::new();
        while let Some(frame) = frames.message().await? {
            if let Some(Frame::Events(batch)) = frame.frame {
                events.extend(
                    batch
                        .events
                        .into_iter()
                        .filter_map(|recorded| recorded.event),
                );
            }
        }
        let want = values::all();
        ensure!(
            events.len() == want.len(),
            "{} events, want {}",
            events.len(),
            want.len()
        );
        for (event, want) in events.iter().zip(&want) {
            holds(event, &want.name, want)?;
        }
        Ok(())
    }

    /// Asks for what is stored from now on, without a bound.
    fn new_events(&self) -> Request<ReadRequest> {
        Request::new(ReadRequest {
            topic: self.topic.clone(),
            start: Some(from(StartBoundary::New)),
            ..Default::default()
        })
    }

    async fn tail(&mut self) -> Result<()> {
        let mut frames = self
            .server
            .reader
            .read(self.new_events())
            .await?
            .into_inner();
        loop {
            match next(&mut frames).await? {
                Frame::CaughtUp(_) => {
                    let value = values::full();
                    self.server.publish_one(&self.topic, TAILED, &value).await?;
                }
                Frame::Events(batch) => {
                    let recorded = batch.events.into_iter().next().context("no event")?;
                    // The call ends where its stream does.
                    return holds(
                        &recorded.event.context("no event")?,
                        TAILED,
                        &values::full(),
                    );
                }
                _ => {}
            }
        }
    }

    async fn consume(&mut self) -> Result<()> {
        let create = CreateSubscriptionRequest {
            subscription: Some(Subscription {
                name: self.topic.clone(),
                topic: self.topic.clone(),
                retry_policy: Some(RetryPolicy {
                    min_backoff: Some(Duration::from_millis(100).try_into()?),
                    max_backoff: Some(Duration::from_secs(1).try_into()?),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            start: Some(from(StartBoundary::Earliest)),
        };
        self.server
            .subscriptions
            .create_subscription(create)
            .await?;

        let mut want: Vec<String> = values::all().into_iter().map(|value| value.name).collect();
        want.push(TAILED.to_string());
        let mut acknowledged = Vec::new();
        let mut attempts = Vec::new(); // of full
        // One settlement more than events: full is settled twice.
        let results = self
            .server
            .consume(&self.topic, want.len() + 1, |delivery| {
                let recorded = delivery.recorded.clone().unwrap_or_default();
                let id = recorded.event.unwrap_or_default().id;
                if id == "full" {
                    attempts.push(delivery.attempt);
                }
                let action = if id == "full" && attempts.len() == 1 {
                    Action::Nack(Nack {
                        kind: NackKind::Retry.into(),
                        ..Default::default()
                    })
                } else {
                    acknowledged.push(id);
                    Action::Ack(Ack {})
                };
                Settlement {
                    delivery_token: delivery.delivery_token.clone(),
                    action: Some(action),
                }
            })
            .await?;
        for result in results {
            let status = result.status();
            ensure!(
                matches!(
                    status,
                    SettlementStatus::Applied | SettlementStatus::AlreadyApplied
                ),
                "a settlement is {status:?}"
            );
        }
        ensure!(
            attempts == [1, 2],
            "the attempts of full are {attempts:?}, want 1 and 2"
        );
        acknowledged.sort();
        want.sort();
        ensure!(
            acknowledged == want,
            "acknowledged {acknowledged:?}, want {want:?}"
        );
        Ok(())
    }

    async fn exceed_deadline(&mut self) -> Result<()> {
        let deadline = Duration::from_millis(300);
        let mut request = self.new_events();
        request.set_timeout(deadline);
        let ended = within(deadline, drain(&mut self.server, request)).await;
        expect(ended, Code::DeadlineExceeded, "", "")
    }

    /// A call of tonic is cancelled by dropping it, as the end of a task does.
    async fn cancel(&mut self) -> Result<()> {
        let (mut server, request) = (self.server.clone(), self.new_events());
        let (caught_up, seen) = oneshot::channel();
        let reading = tokio::spawn(async move {
            let mut frames = server.reader.read(request).await?.into_inner();
            while !matches!(next(&mut frames).await?, Frame::CaughtUp(_)) {}
            let _ = caught_up.send(());
            next(&mut frames).await
        });
        // Where the call failed before, that is what it ended with.
        if seen.await.is_ok() {
            reading.abort();
        }
        match reading.await {
            Err(ended) if ended.is_cancelled() => Ok(()),
            ended => bail!("the call ended with {:?}", ended?),
        }
    }
}

fn from(boundary: StartBoundary) -> StartPosition {
    StartPosition {
        position: Some(start_position::Position::Boundary(boundary.into())),
    }
}

/// Keeps a deadline on this side too. Once a response has begun, tonic leaves that to
/// the server, which may reset the call, which is CANCELLED, before it has sent a
/// status.
async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let start = Instant::now();
    match timeout(deadline, call).await {
        Ok(Err(status)) if status.code() != Code::Cancelled || start.elapsed() < deadline => {
            Err(status)
        }
        Ok(Ok(response)) => Ok(response),
        _ => Err(Status::deadline_exceeded(format!(
            "no end within {deadline:?}"
        ))),
    }
}

/// Reads until the call ends.
async fn drain(server: &mut Server, request: Request<ReadRequest>) -> Result<(), Status> {
    let mut frames = server.reader.read(request).await?.into_inner();
    while frames.message().await?.is_some() {}
    Ok(())
}

/// The next frame of a call that has no end of its own.
async fn next(frames: &mut Streaming<ReadResponse>) -> Result<Frame> {
    let response = frames
        .message()
        .await?
        .context("the server ended the stream")?;
    response.frame.context("a frame that is not known")
}

/// Wants a call to have ended with a code and, where they are not empty, with a
/// reason and with a field that violates a rule.
fn expect<T>(result: Result<T, Status>, code: Code, reason: &str, field: &str) -> Result<()> {
    let Err(status) = result else {
        bail!("expected {code:?}, got OK");
    };
    let got_reason = status
        .get_details_error_info()
        .map_or(String::new(), |details| details.reason);
    let got_fields: Vec<String> = status
        .get_details_bad_request()
        .into_iter()
        .flat_map(|details| details.field_violations)
        .map(|violation| violation.field)
        .collect();
    ensure!(
        status.code() == code
            && (reason.is_empty() || got_reason == reason)
            && (field.is_empty() || got_fields.iter().any(|got| got == field)),
        "expected {code:?} {reason} {field}, got {got_reason} {got_fields:?}: {status}"
    );
    Ok(())
}

/// Wants an event to have an id and to hold a value.
fn holds(event: &Event, id: &str, want: &EveryKind) -> Result<()> {
    let got: EveryKind = event.data.as_ref().context("no data")?.to_msg()?;
    ensure!(
        event.id == id && got == *want,
        "the event {} holds {got:?}, want {id} with {want:?}",
        event.id
    );
    Ok(())
}
