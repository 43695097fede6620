#!/usr/bin/perl
# The client in Perl, with the modules that Perl itself has. README.md in the
# directory above says what it does.
use v5.36;
use utf8;

use FindBin qw($Bin);
use HTTP::Tiny;
use JSON::PP;
use lib $Bin;

use Values qw(full values_in_order same);

my $json  = JSON::PP->new->utf8;
my $url   = $ENV{TIDINGS_URL};
my $topic = $ENV{TIDINGS_TOPIC};
my $TYPE  = 'type.googleapis.com/tidings.conformance.v1.EveryKind';
my $NEW   = { boundary => 'START_BOUNDARY_NEW' };
my $OLD   = { boundary => 'START_BOUNDARY_EARLIEST' };

# Ends a call whose frames are no longer wanted.
my $ENOUGH = "enough\n";

# A call of a unary RPC, SERVICE/METHOD, that is to succeed.
sub call ( $rpc, $request ) {
    my ( $response, $error ) = try_call( $rpc, $request );
    die "$rpc: ", $json->encode($error), "\n" if $error;
    return $response;
}

# The response, or the error as Connect has it in JSON.
sub try_call ( $rpc, $request ) {
    my $response = HTTP::Tiny->new( timeout => 10 )->post(
        "$url/tidings.v1.$rpc",
        { headers => { 'Content-Type' => 'application/json' }, content => $json->encode($request) },
    );
    die "$rpc: $response->{content}\n" if $response->{status} == 599;    # No response came.
    my $message = $json->decode( $response->{content} );
    return $response->{success} ? ( $message, undef ) : ( undef, $message );
}

# Calls an RPC that streams responses, and hands them to $take, which may end the
# call with `die $ENOUGH`. Returns the error that the server ended it with, if any.
sub stream ( $rpc, $request, $take, %headers ) {
    my $body   = $json->encode($request);
    my $buffer = '';
    my $end;
    my $read = sub ( $data, $response ) {
        $buffer .= $data;

        # A message has a byte of flags and four with its length before it. The flag 2
        # is on the last.
        while ( length $buffer >= 5 ) {
            my ( $flags, $length ) = unpack 'CN', $buffer;
            last if length $buffer < 5 + $length;
            my $message = $json->decode( substr $buffer, 5, $length );
            substr( $buffer, 0, 5 + $length ) = '';
            if ( $flags & 2 ) { $end = $message }
            else              { $take->($message) }
        }
    };
    my $response = HTTP::Tiny->new( timeout => 10 )->post(
        "$url/tidings.v1.$rpc",
        {   headers       => { 'Content-Type' => 'application/connect+json', %headers },
            content       => pack( 'CN', 0, length $body ) . $body,
            data_callback => $read,
        },
    );

    # 599 is what HTTP::Tiny says where it ended the call itself.
    return if $response->{status} == 599 && $response->{content} eq $ENOUGH;
    die "$rpc: $response->{status} ", $response->{content} // '', "\n" unless $end;
    return $end->{error};
}

# An event with a value.
sub event ( $id, $value ) {
    return { id => $id, source => '/interop', data => { '@type' => $TYPE, %$value } };
}

# Wants a call to have been refused with a code and, where they are given, with a
# reason and a field.
sub expect ( $error, $code, $reason = undef, $field = undef ) {
    die "expected $code, got OK\n" unless $error;
    my $text    = $json->encode($error);
    my %details = map { $_->{type} => $_->{debug} } @{ $error->{details} // [] };
    my $got     = $details{'google.rpc.ErrorInfo'}{reason} // '';
    my @fields  = map { $_->{field} } @{ $details{'google.rpc.BadRequest'}{fieldViolations} // [] };
    die "expected $code, got $text\n" unless $error->{code} eq $code;
    die "expected $reason, got $text\n" if defined $reason && $got ne $reason;
    die "expected $field, got $text\n"  if defined $field  && !grep { $_ eq $field } @fields;
}

# Wants an event to have an id and to hold a value.
sub require_event ( $event, $id, $value ) {
    die "$event->{id} instead of $id\n" unless $event->{id} eq $id;
    my $wanted = { '@type' => $TYPE, %$value };
    same( $event->{data}, $wanted ) or die "$id holds ", $json->encode( $event->{data} ), "\n";
}

sub create_topic () {
    my $request = { topic => { name => $topic, settings => { description => 'interop' } } };
    call( 'TopicService/CreateTopic', $request );
    my $got = call( 'TopicService/GetTopic', { name => $topic } )->{topic}{settings}{description};
    die "the description is $got\n" unless $got eq 'interop';
    my ( undef, $error ) = try_call( 'TopicService/CreateTopic', $request );
    expect( $error, 'already_exists', 'TOPIC_ALREADY_EXISTS' );
}

sub publish () {
    my @events  = map { event( $_->{name}, $_ ) } values_in_order();
    my $request = { topic => $topic, events => \@events };
    my $first   = call( 'PublisherService/Publish', $request )->{receipts};
    my $again   = call( 'PublisherService/Publish', $request )->{receipts};
    die "not a receipt for each event\n" unless @$first == @events && @$again == @events;
    my $last = 0;
    for my $i ( 0 .. $#events ) {
        my $sequence = $first->[$i]{sequence};    # Text that is a number to Perl, of 64 bits.
        die "sequence $sequence after $last\n" if $sequence <= $last || $first->[$i]{duplicate};
        die "$sequence isn't repeated\n"
            unless $again->[$i]{sequence} == $sequence && $again->[$i]{duplicate};
        $last = $sequence;
    }
}

sub publish_invalid () {
    my $event = event( 'refused', { full()->%*, email => 'not-an-address' } );
    my ( undef, $error )
        = try_call( 'PublisherService/Publish', { topic => $topic, events => [$event] } );
    expect( $error, 'invalid_argument', 'EVENT_INVALID', 'events[0].data.email' );
}

sub read_all () {
    my @events;
    my $error = stream(
        'ReaderService/Read',
        { topic => $topic, start => $OLD, stop => { caughtUp => \1 } },
        sub ($frame) { push @events, @{ $frame->{events}{events} // [] } },
    );
    die $json->encode($error), "\n" if $error;
    my @wanted = values_in_order();
    die scalar @events, " events\n" unless @events == @wanted;
    require_event( $events[$_]{event}, $wanted[$_]{name}, $wanted[$_] ) for 0 .. $#wanted;
}

# docs:begin
sub publish_one ( $id, $value ) {
    my $event    = { id => $id, source => '/interop', data => { '@type' => $TYPE, %$value } };
    my $response = HTTP::Tiny->new->post(
        "$url/tidings.v1.PublisherService/Publish",
        {   headers => { 'Content-Type' => 'application/json' },
            content => encode_json( { topic => $topic, events => [$event] } ),
        },
    );
    die $response->{content} unless $response->{success};
}

# docs:end

sub tail () {
    my $come;
    my $error = stream(
        'ReaderService/Read',
        { topic => $topic, start => $NEW },
        sub ($frame) {
            publish_one( 'tailed', full() ) if $frame->{caughtUp};
            ($come) = @{ $frame->{events}{events} // [] };
            die $ENOUGH if $come;
        },
    );
    die 'the call ended: ', $json->encode( $error // {} ), "\n" unless $come;
    require_event( $come->{event}, 'tailed', full() );
}

sub consume () {
    my $retries      = { minBackoff => '0.1s', maxBackoff => '1s' };
    my $subscription = { name => $topic, topic => $topic, retryPolicy => $retries };
    call(
        'SubscriptionService/CreateSubscription',
        { subscription => $subscription, start => $OLD }
    );
    my ( @acknowledged, @attempts, $applied );
    my @wanted = sort 'tailed', map { $_->{name} } values_in_order();
    my $decide = sub ($delivery) {
        my $id = $delivery->{recorded}{event}{id};
        push @attempts, $delivery->{attempt} if $id eq 'full';
        my %settlement = ( deliveryToken => $delivery->{deliveryToken} );
        return { %settlement, nack => { kind => 'NACK_KIND_RETRY' } }
            if $id eq 'full' && @attempts == 1;
        push @acknowledged, $id;
        return { %settlement, ack => {} };
    };
    my $error = stream(
        'ConsumerService/Receive',
        { subscription => $topic },
        sub ($frame) {
            my @settlements = map { $decide->($_) } @{ $frame->{deliveries}{deliveries} // [] }
                or return;
            my $response = call( 'ConsumerService/Settle',
                { subscription => $topic, settlements => \@settlements } );
            for my $result ( $response->{results}->@* ) {
                die "$result->{status}\n" unless $result->{status} eq 'SETTLEMENT_STATUS_APPLIED';
                $applied++;
            }
            die $ENOUGH if $applied > @wanted;    # One more than events: full is settled twice.
        },
    );
    die $json->encode($error), "\n" if $error;
    die "the attempts of full are @attempts\n" unless "@attempts" eq '1 2';
    die "acknowledged @acknowledged\n"         unless "@{[sort @acknowledged]}" eq "@wanted";
}

sub exceed_deadline () {
    my $error = stream(
        'ReaderService/Read',
        { topic => $topic, start => $NEW },
        sub ($frame) { },
        'Connect-Timeout-Ms' => 300
    );
    expect( $error, 'deadline_exceeded' );
}

# A call over HTTP/1.1 is cancelled by closing its connection, after which nothing
# comes any more: that is how it ends.
sub cancel () {
    my $caught_up;
    stream(
        'ReaderService/Read',
        { topic => $topic, start => $NEW },
        sub ($frame) {
            die "a frame came after the end\n" if $caught_up;
            $caught_up = exists $frame->{caughtUp};
            die $ENOUGH if $caught_up;
        },
    );
    die "the call ended before it was cancelled\n" unless $caught_up;
}

my @steps = (
    topic    => \&create_topic,
    publish  => \&publish,
    refused  => \&publish_invalid,
    read     => \&read_all,
    tail     => \&tail,
    consume  => \&consume,
    deadline => \&exceed_deadline,
    cancel   => \&cancel,
);
my $failed = 0;
while ( my ( $name, $step ) = splice @steps, 0, 2 ) {

    # Nothing waits longer than this, whatever comes.
    local $SIG{ALRM} = sub { die "not done within 10 seconds\n" };
    alarm 10;
    if ( eval { $step->(); 1 } ) {
        say "$name ok";
    }
    else {
        say "$name fail: ", $@ =~ s/\s+/ /gr;
        $failed = 1;
    }
    alarm 0;
}
say "$_ n/a: there is no library of proto3 for Perl" for qw(golden golden-json);
exit $failed;
