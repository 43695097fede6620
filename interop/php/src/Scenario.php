<?php

declare(strict_types=1);

namespace Interop;

use Google\Protobuf\Any;
use Google\Protobuf\Duration;
use Google\Rpc\BadRequest;
use Google\Rpc\ErrorInfo;
use RuntimeException;
use Throwable;
use Tidings\Options\V1\TopicSettings;
use Tidings\V1\Ack;
use Tidings\V1\CreateSubscriptionRequest;
use Tidings\V1\CreateSubscriptionResponse;
use Tidings\V1\CreateTopicRequest;
use Tidings\V1\CreateTopicResponse;
use Tidings\V1\Delivery;
use Tidings\V1\Event;
use Tidings\V1\GetTopicRequest;
use Tidings\V1\GetTopicResponse;
use Tidings\V1\Nack;
use Tidings\V1\NackKind;
use Tidings\V1\PublishRequest;
use Tidings\V1\PublishResponse;
use Tidings\V1\ReadRequest;
use Tidings\V1\ReadResponse;
use Tidings\V1\ReceiveRequest;
use Tidings\V1\ReceiveResponse;
use Tidings\V1\RetryPolicy;
use Tidings\V1\Settlement;
use Tidings\V1\SettlementStatus;
use Tidings\V1\SettleRequest;
use Tidings\V1\SettleResponse;
use Tidings\V1\StartBoundary;
use Tidings\V1\StartPosition;
use Tidings\V1\StopPosition;
use Tidings\V1\Subscription;
use Tidings\V1\Topic;

/** One run of the steps. */
final class Scenario
{
    private const DESCRIPTION = 'interop';

    private readonly Connect $connect;

    public function __construct(
        private readonly string $url,
        private readonly Codec $codec,
        private readonly string $topic,
        private readonly Golden $golden,
    ) {
        $this->connect = new Connect($url, $codec);
    }

    public static function fromEnvironment(): self
    {
        $codec = getenv('TIDINGS_TRANSPORT') === 'connect-json' ? Codec::Json : Codec::Binary;
        $golden = new Golden(getenv('TIDINGS_GOLDEN'), getenv('TIDINGS_OUT'));
        return new self(getenv('TIDINGS_URL'), $codec, getenv('TIDINGS_TOPIC'), $golden);
    }

    /** Does every step and returns whether none failed. */
    public function run(): bool
    {
        $steps = [
            'topic' => $this->createTopic(...),
            'publish' => $this->publish(...),
            'refused' => $this->publishInvalid(...),
            'read' => $this->read(...),
            'tail' => $this->tail(...),
            'consume' => $this->consume(...),
            'deadline' => $this->exceedDeadline(...),
            'cancel' => $this->cancel(...),
            'golden' => $this->golden->copy(...),
        ];
        $ok = true;
        foreach ($steps as $name => $step) {
            try {
                $step();
                echo "$name ok\n";
            } catch (Throwable $e) {
                $ok = false;
                echo "$name fail: ", strtr($e->getMessage(), "\n", ' '), "\n";
                fwrite(STDERR, "$e\n");
            }
        }
        echo "golden-json n/a: the runtime has no google.protobuf.FileDescriptorSet\n";
        return $ok;
    }

    private function createTopic(): void
    {
        $create = fn () => $this->connect->call(
            'tidings.v1.TopicService/CreateTopic',
            new CreateTopicRequest([
                'topic' => new Topic([
                    'name' => $this->topic,
                    'settings' => new TopicSettings(['description' => self::DESCRIPTION]),
                ]),
            ]),
            CreateTopicResponse::class,
        );
        $create();
        $response = $this->connect->call(
            'tidings.v1.TopicService/GetTopic',
            new GetTopicRequest(['name' => $this->topic]),
            GetTopicResponse::class,
        );
        self::expect('description', self::DESCRIPTION, $response->getTopic()->getSettings()->getDescription());
        $info = self::expectError('already_exists', $create)->detail('google.rpc.ErrorInfo', ErrorInfo::class);
        self::expect('reason', 'TOPIC_ALREADY_EXISTS', $info->getReason());
    }

    private function publish(): void
    {
        $events = array_map(fn ($value) => self::event($value->getName(), Values::any($value)), Values::all());
        $first = iterator_to_array($this->publishEvents($events)->getReceipts());
        $again = iterator_to_array($this->publishEvents($events)->getReceipts());
        $sequences = array_map(fn ($receipt) => $receipt->getSequence(), $first);
        $increasing = array_unique($sequences);
        sort($increasing);
        self::expect('number of receipts', count($events), count($sequences));
        self::expect('sequences', $increasing, $sequences);
        $repeated = array_map(fn ($receipt) => $receipt->getSequence(), $again);
        self::expect('sequences when repeated', $sequences, $repeated);
        foreach ($events as $i => $event) {
            self::expect("duplicate of {$event->getId()}", false, $first[$i]->getDuplicate());
            self::expect("duplicate of {$event->getId()} when repeated", true, $again[$i]->getDuplicate());
        }
    }

    private function publishInvalid(): void
    {
        $value = Values::full()->setEmail('not-an-address');
        $error = self::expectError(
            'invalid_argument',
            fn () => $this->publishEvents([self::event('refused', Values::any($value))]),
        );
        self::expect('reason', 'EVENT_INVALID', $error->detail('google.rpc.ErrorInfo', ErrorInfo::class)->getReason());
        $violations = $error->detail('google.rpc.BadRequest', BadRequest::class)->getFieldViolations();
        self::expect('violations', 1, count($violations));
        self::expect('field', 'events[0].data.email', $violations[0]->getField());
    }

    private function read(): void
    {
        $events = [];
        $request = new ReadRequest([
            'topic' => $this->topic,
            'start' => new StartPosition(['boundary' => StartBoundary::START_BOUNDARY_EARLIEST]),
            'stop' => new StopPosition(['caught_up' => true]),
        ]);
        $this->readFrames($request, function (ReadResponse $frame) use (&$events): bool {
            foreach ($frame->getEvents()?->getEvents() ?? [] as $event) {
                $events[] = $event->getEvent();
            }
            return true;
        });
        self::expect('number of events', count(Values::all()), count($events));
        foreach (Values::all() as $i => $value) {
            self::expect('id', $value->getName(), $events[$i]->getId());
            self::expect($value->getName(), $value, $events[$i]->getData()->unpack());
        }
    }

    private function tail(): void
    {
        $tailed = null;
        $take = function (ReadResponse $frame) use (&$tailed): bool {
            if ($frame->hasCaughtUp()) {
                self::publishOne($this->url, $this->codec, $this->topic, 'tailed', Values::any(Values::full()));
            }
            foreach ($frame->getEvents()?->getEvents() ?? [] as $event) {
                $tailed = $event->getEvent();
            }
            return $tailed === null;
        };
        self::expectError('canceled', fn () => $this->readFrames($this->fromNow(), $take));
        self::expect('id', 'tailed', $tailed->getId());
        self::expect('value', Values::full(), $tailed->getData()->unpack());
    }

    private function consume(): void
    {
        $this->createSubscription();
        $ids = [...array_map(fn ($value) => $value->getName(), Values::all()), 'tailed'];
        $attempts = [];
        $acknowledged = [];
        $decide = function (Delivery $delivery) use (&$attempts, &$acknowledged): array {
            $id = $delivery->getRecorded()->getEvent()->getId();
            if ($id === 'full') {
                $attempts[] = $delivery->getAttempt();
                if (count($attempts) === 1) {
                    return ['nack' => new Nack(['kind' => NackKind::NACK_KIND_RETRY])];
                }
            }
            $acknowledged[] = $id;
            return ['ack' => new Ack()];
        };
        // One settlement more than events: full is settled twice.
        foreach ($this->settleAll(count($ids) + 1, $decide) as $result) {
            self::expect('status', SettlementStatus::SETTLEMENT_STATUS_APPLIED, $result->getStatus());
        }
        sort($ids);
        sort($acknowledged);
        self::expect('attempts of full', [1, 2], $attempts);
        self::expect('acknowledged ids', $ids, $acknowledged);
    }

    private function createSubscription(): void
    {
        $retryPolicy = new RetryPolicy([
            'min_backoff' => new Duration(['nanos' => 100_000_000]),
            'max_backoff' => new Duration(['seconds' => 1]),
        ]);
        $request = new CreateSubscriptionRequest([
            'subscription' => new Subscription([
                'name' => $this->topic, 'topic' => $this->topic, 'retry_policy' => $retryPolicy,
            ]),
            'start' => new StartPosition(['boundary' => StartBoundary::START_BOUNDARY_EARLIEST]),
        ]);
        $this->connect->call(
            'tidings.v1.SubscriptionService/CreateSubscription',
            $request,
            CreateSubscriptionResponse::class,
        );
    }

    /**
     * Settles deliveries of the subscription until there are as many results as
     * asked for, and returns them.
     *
     * @param callable(Delivery): array $decide returns the action for a delivery
     */
    private function settleAll(int $count, callable $decide): array
    {
        $results = [];
        $take = function (ReceiveResponse $frame) use (&$results, $count, $decide): bool {
            $settlements = [];
            foreach ($frame->getDeliveries()?->getDeliveries() ?? [] as $delivery) {
                $settlements[] = new Settlement(
                    ['delivery_token' => $delivery->getDeliveryToken()] + $decide($delivery),
                );
            }
            if ($settlements !== []) {
                $request = new SettleRequest(['subscription' => $this->topic, 'settlements' => $settlements]);
                $response = $this->connect->call('tidings.v1.ConsumerService/Settle', $request, SettleResponse::class);
                array_push($results, ...$response->getResults());
            }
            return count($results) < $count;
        };
        self::expectError('canceled', fn () => $this->connect->stream(
            'tidings.v1.ConsumerService/Receive',
            new ReceiveRequest(['subscription' => $this->topic]),
            ReceiveResponse::class,
            $take,
        ));
        return $results;
    }

    private function exceedDeadline(): void
    {
        self::expectError('deadline_exceeded', fn () => $this->readFrames($this->fromNow(), fn () => true, 0.3));
    }

    private function cancel(): void
    {
        self::expectError('canceled', fn () => $this->readFrames(
            $this->fromNow(),
            fn (ReadResponse $frame) => !$frame->hasCaughtUp(),
        ));
    }

    /** Does all that a publisher in PHP has to do. */
    private static function publishOne(string $url, Codec $codec, string $topic, string $id, Any $data): void
    {
        // docs:begin
        $event = new Event(['id' => $id, 'source' => '/interop', 'data' => $data]);
        $request = new PublishRequest(['topic' => $topic, 'events' => [$event]]);
        $curl = curl_init("$url/tidings.v1.PublisherService/Publish");
        curl_setopt_array($curl, [
            CURLOPT_HTTPHEADER => ["Content-Type: application/$codec->value"], // proto or json
            CURLOPT_POSTFIELDS => $codec->encode($request), // by serializeToString or serializeToJsonString
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 10,
        ]);
        $body = curl_exec($curl);
        if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
            throw new RuntimeException($body ?: curl_error($curl));
        }
        $response = $codec->decode($body, PublishResponse::class);
        // docs:end
        self::expect('number of receipts', 1, count($response->getReceipts()));
    }

    private static function event(string $id, Any $data): Event
    {
        return new Event(['id' => $id, 'source' => '/interop', 'data' => $data]);
    }

    /** @param list<Event> $events */
    private function publishEvents(array $events): PublishResponse
    {
        return $this->connect->call(
            'tidings.v1.PublisherService/Publish',
            new PublishRequest(['topic' => $this->topic, 'events' => $events]),
            PublishResponse::class,
        );
    }

    /** Asks for what is stored from now on, without a bound. */
    private function fromNow(): ReadRequest
    {
        return new ReadRequest([
            'topic' => $this->topic,
            'start' => new StartPosition(['boundary' => StartBoundary::START_BOUNDARY_NEW]),
        ]);
    }

    /** @param callable(ReadResponse): bool $take */
    private function readFrames(ReadRequest $request, callable $take, float $timeout = 10): void
    {
        $this->connect->stream('tidings.v1.ReaderService/Read', $request, ReadResponse::class, $take, $timeout);
    }

    private static function expect(string $what, mixed $want, mixed $got): void
    {
        // By value: messages are objects.
        if ($got != $want) {
            throw new RuntimeException("$what: " . print_r($got, true) . ', want ' . print_r($want, true));
        }
    }

    /** Wants a call to end with an error, and returns it. */
    private static function expectError(string $status, callable $call): ConnectException
    {
        try {
            $call();
        } catch (ConnectException $e) {
            return $e->status === $status ? $e : throw new RuntimeException("expected $status, got {$e->getMessage()}");
        }
        throw new RuntimeException("expected $status, got ok");
    }
}
