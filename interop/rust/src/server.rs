//! The server over gRPC and over gRPC-Web, which need the same clients over
//! different transports.

use std::time::Duration;

use anyhow::{Result, bail};
use http::Uri;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use prost_types::Any;
use example_tidings::{
    conformance::v1::EveryKind,
    v1::{
        Delivery, Event, PublishRequest, ReceiveRequest, SettleRequest, Settlement,
        SettlementResult, consumer_service_client::ConsumerServiceClient,
        publisher_service_client::PublisherServiceClient,
        reader_service_client::ReaderServiceClient, receive_response,
        subscription_service_client::SubscriptionServiceClient,
        topic_service_client::TopicServiceClient,
    },
};
use tokio::time::timeout;
use tonic::{Status, body::Body, transport::Channel};
use tonic_web::GrpcWebClientLayer;
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};

use crate::{consumer, scenario::SOURCE};

/// How long a consumer may take to get all that it waits for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What calls go over, whatever the protocol.
pub type Transport = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Status>;

/// The services. A program of its own would use those that it needs.
#[derive(Clone)]
pub struct Server {
    pub topics: TopicServiceClient<Transport>,
    pub publisher: PublisherServiceClient<Transport>,
    pub reader: ReaderServiceClient<Transport>,
    pub subscriptions: SubscriptionServiceClient<Transport>,
    consumer: ConsumerServiceClient<Transport>,
    /// For a connection of its own over gRPC; `None` over gRPC-Web.
    grpc: Option<String>,
}

impl Server {
    /// Prepares calls to `address` over gRPC or to `url` over gRPC-Web.
    pub fn new(transport: &str, address: &str, url: &str) -> Result<Self> {
        match transport {
            "grpc" => {
                let url = format!("http://{address}");
                let channel = Channel::from_shared(url.clone())?
                    .connect_lazy()
                    .map_err(|error| Status::from_error(error.into()));
                let transport = BoxCloneSyncService::new(channel);
                Ok(Self::over(transport, url.parse()?, Some(url)))
            }
            "grpc-web" => {
                let client = ServiceBuilder::new()
                    .layer(GrpcWebClientLayer::new())
                    .service(Client::builder(TokioExecutor::new()).build_http())
                    .map_response(|response| response.map(Body::new))
                    .map_err(|error| Status::from_error(error.into()));
                let transport = BoxCloneSyncService::new(client);
                Ok(Self::over(transport, url.parse()?, None))
            }
            _ => bail!("TIDINGS_TRANSPORT is {transport:?}, want grpc or grpc-web"),
        }
    }

    fn over(transport: Transport, origin: Uri, grpc: Option<String>) -> Self {
        Self {
            topics: TopicServiceClient::with_origin(transport.clone(), origin.clone()),
            publisher: PublisherServiceClient::with_origin(transport.clone(), origin.clone()),
            reader: ReaderServiceClient::with_origin(transport.clone(), origin.clone()),
            subscriptions: SubscriptionServiceClient::with_origin(
                transport.clone(),
                origin.clone(),
            ),
            consumer: ConsumerServiceClient::with_origin(transport, origin),
            grpc,
        }
    }

    /// Publishes one event over a connection of its own.
    pub async fn publish_one(&mut self, topic: &str, id: &str, value: &EveryKind) -> Result<()> {
        let Some(url) = self.grpc.clone() else {
            let event = event(id, value)?;
            self.publisher.publish(request(topic, vec![event])).await?;
            return Ok(());
        };
        // docs:begin
        let mut publisher = PublisherServiceClient::connect(url).await?;
        let event = Event {
            id: id.to_string(),
            source: "/interop".to_string(),
            data: Some(Any::from_msg(value)?),
            ..Default::default()
        };
        publisher
            .publish(PublishRequest {
                topic: topic.to_string(),
                events: vec![event],
                ..Default::default()
            })
            .await?;
        // docs:end
        Ok(())
    }

    /// Settles deliveries of a subscription as `decide` says, and returns the
    /// results once there are `count`.
    pub async fn consume(
        &mut self,
        subscription: &str,
        count: usize,
        decide: impl FnMut(&Delivery) -> Settlement,
    ) -> Result<Vec<SettlementResult>> {
        if self.grpc.is_some() {
            self.consume_both_ways(subscription, count, decide).await
        } else {
            self.receive_and_settle(subscription, count, decide).await
        }
    }

    async fn consume_both_ways(
        &mut self,
        subscription: &str,
        count: usize,
        decide: impl FnMut(&Delivery) -> Settlement,
    ) -> Result<Vec<SettlementResult>> {
        let mut results = Vec::new();
        let mut broken = false;
        let settled = |more: Vec<_>| {
            if !broken && results.len() + more.len() >= count {
                // As if the connection broke before the last ones came: they are to come again.
                broken = true;
                return Err(Status::unavailable("broken on purpose"));
            }
            results.extend(more);
            Ok(results.len() >= count)
        };
        let consuming = consumer::consume(&mut self.consumer, subscription, decide, settled);
        timeout(PATIENCE, consuming).await??;
        Ok(results)
    }

    /// Does with two calls what Consume does with one.
    async fn receive_and_settle(
        &mut self,
        subscription: &str,
        count: usize,
        mut decide: impl FnMut(&Delivery) -> Settlement,
    ) -> Result<Vec<SettlementResult>> {
        let receive = ReceiveRequest {
            subscription: subscription.to_string(),
            ..Default::default()
        };
        let mut frames = self.consumer.receive(receive).await?.into_inner();
        let mut results = Vec::new();
        while results.len() < count {
            let Some(frame) = frames.message().await? else {
                bail!(
                    "the server ended the stream after {} results",
                    results.len()
                );
            };
            if let Some(receive_response::Frame::Deliveries(batch)) = frame.frame {
                let settle = SettleRequest {
                    subscription: subscription.to_string(),
                    settlements: batch.deliveries.iter().map(&mut decide).collect(),
                    ..Default::default()
                };
                results.extend(self.consumer.settle(settle).await?.into_inner().results);
            }
        }
        Ok(results)
    }
}

/// An event with a value.
pub fn event(id: &str, value: &EveryKind) -> Result<Event> {
    Ok(Event {
        id: id.to_string(),
        source: SOURCE.to_string(),
        data: Some(Any::from_msg(value)?),
        ..Default::default()
    })
}

/// A request to publish events.
pub fn request(topic: &str, events: Vec<Event>) -> PublishRequest {
    PublishRequest {
        topic: topic.to_string(),
        events,
        ..Default::default()
    }
}
