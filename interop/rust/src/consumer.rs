//! A consumer that goes on working whatever becomes of its calls.

use std::{collections::VecDeque, time::Duration};

use example_tidings::v1::{
    ConsumeOpen, ConsumeRequest, Delivery, Settlement, SettlementBatch, SettlementResult,
    consume_request::Request, consume_response::Frame,
    consumer_service_client::ConsumerServiceClient,
};
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status};

use crate::server::Transport;

// docs:begin
/// What the same call would end with again.
const LASTING: [Code; 6] = [
    Code::InvalidArgument,
    Code::NotFound,
    Code::FailedPrecondition,
    Code::PermissionDenied,
    Code::Unauthenticated,
    Code::Unimplemented,
];

/// Consumes a subscription until `settled` says that it is enough. `work` decides about
/// each delivery in turn. Transport is tonic's Channel, or what a program has over it.
pub async fn consume(
    consumer: &mut ConsumerServiceClient<Transport>,
    subscription: &str,
    mut work: impl FnMut(&Delivery) -> Settlement,
    mut settled: impl FnMut(Vec<SettlementResult>) -> Result<bool, Status>,
) -> Result<(), Status> {
    let mut unanswered = VecDeque::new(); // Batches whose results haven't come.
    loop {
        match call(
            consumer,
            subscription,
            &mut unanswered,
            &mut work,
            &mut settled,
        )
        .await
        {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(status) if LASTING.contains(&status.code()) => return Err(status),
            Err(_) => sleep(Duration::from_secs(1)).await,
        }
    }
}

/// One call; true where it was enough, false where the server ended it in order.
async fn call(
    consumer: &mut ConsumerServiceClient<Transport>,
    subscription: &str,
    unanswered: &mut VecDeque<SettlementBatch>,
    work: &mut impl FnMut(&Delivery) -> Settlement,
    settled: &mut impl FnMut(Vec<SettlementResult>) -> Result<bool, Status>,
) -> Result<bool, Status> {
    let (requests, outgoing) = mpsc::unbounded_channel();
    let mut requests = Some(requests);
    // A request that isn't taken belongs to a call that is over, and is sent again.
    let send = |requests: &Option<mpsc::UnboundedSender<_>>, request| {
        let request = Some(request);
        _ = requests
            .as_ref()
            .map(|sender| sender.send(ConsumeRequest { request }));
    };
    let held = unanswered.iter().flat_map(|batch| &batch.settlements);
    let open = ConsumeOpen {
        subscription: subscription.to_string(),
        held_delivery_tokens: held.map(|each| each.delivery_token.clone()).collect(),
        ..Default::default()
    };
    send(&requests, Request::Open(open));
    for batch in unanswered.iter() {
        send(&requests, Request::Settle(batch.clone()));
    }
    let outgoing = UnboundedReceiverStream::new(outgoing);
    let mut frames = consumer.consume(outgoing).await?.into_inner();
    while let Some(frame) = frames.message().await? {
        match frame.frame {
            Some(Frame::Deliveries(batch)) => {
                let settlements = batch.deliveries.iter().map(&mut *work).collect();
                unanswered.push_back(SettlementBatch { settlements });
                send(
                    &requests,
                    Request::Settle(unanswered[unanswered.len() - 1].clone()),
                );
            }
            Some(Frame::Settled(answer)) => {
                let enough = settled(answer.results)?; // In the order of the batches.
                unanswered.pop_front();
                if enough {
                    return Ok(true);
                }
            }
            // The server is about to stop: nothing is held here, so call again.
            Some(Frame::Draining(_)) => requests = None,
            _ => {}
        }
    }
    Ok(false)
}
// docs:end
