# The client in Tcl: Tcl's own http, and tDOM, which reads JSON into a tree to be asked
# by XPath. README.md in the directory above says what it does.
package require Tcl 8.6
package require http
package require tdom

source -encoding utf-8 [file join [file dirname [info script]] values.tcl]

set url $env(TIDINGS_URL)
set topic $env(TIDINGS_TOPIC)
set patience 10000 ;# Nothing waits longer, in milliseconds.

set earliest [object boundary [text START_BOUNDARY_EARLIEST]]
set new [object boundary [text START_BOUNDARY_NEW]]

proc fail {message} {
    return -code error -errorcode UNEXPECTED $message
}

proc parse {data} {
    dom parse -json -jsonroot json [encoding convertfrom utf-8 $data]
}

# Calls a unary RPC, SERVICE/METHOD. Returns the status of HTTP and the tree of the
# response, or of the error as Connect has it.
proc try_call {rpc request} {
    set token [http::geturl $::url/tidings.v1.$rpc -method POST -type application/json \
        -query [encoding convertto utf-8 $request] -binary 1 -timeout $::patience]
    try {
        if {[http::status $token] ne "ok"} {
            fail "$rpc: [http::status $token] [http::error $token]"
        }
        return [list [http::ncode $token] [parse [http::data $token]]]
    } finally {
        http::cleanup $token
    }
}

proc call {rpc request} {
    lassign [try_call $rpc $request] status response
    if {$status != 200} {
        fail "$rpc: [$response asJSON]"
    }
    return $response
}

# What streams have received, by the token of their call. The event loop fills it also
# while something else is waited for.
array set received {}
set progress 0

proc receive {socket token} {
    set data [read $socket]
    append ::received($token) $data
    incr ::progress
    return [string length $data]
}

proc ended {token} {
    incr ::progress
}

# Takes the next message from what a stream has received: a list of its flags and its
# data, or an empty one. Before it stand a byte with the flags and four with its length.
proc next_message {token} {
    if {![binary scan $::received($token) cuIu flags length]
        || ![info exists length] || [string length $::received($token)] < 5 + $length} {
        return {}
    }
    set data [string range $::received($token) 5 [expr {4 + $length}]]
    set ::received($token) [string range $::received($token) [expr {5 + $length}] end]
    return [list $flags $data]
}

# Calls an RPC that streams responses, and runs the script body for each, with its tree
# in the variable. `break` in it cancels the call. Returns how the call ended:
# "cancelled", or the tree of the last message, which may hold an error.
proc stream {rpc request variable body {headers {}}} {
    upvar 1 $variable frame
    set data [encoding convertto utf-8 $request]
    set token [http::geturl $::url/tidings.v1.$rpc -method POST -type application/connect+json \
        -headers $headers -query [binary format cIa* 0 [string length $data] $data] -binary 1 \
        -timeout $::patience -handler receive -command ended]
    if {![info exists ::received($token)]} {
        set ::received($token) ""
    }
    try {
        while 1 {
            while {[llength [set message [next_message $token]]]} {
                lassign $message flags data
                set frame [parse $data]
                if {$flags & 2} {
                    return $frame
                }
                set code [catch {uplevel 1 $body} result options]
                if {$code == 3} {
                    http::reset $token cancelled
                    return [http::status $token]
                }
                if {$code != 0 && $code != 4} {
                    return -options $options $result
                }
            }
            if {[http::status $token] ne ""} {
                fail "$rpc: the stream ended without its last message: [http::status $token]"
            }
            vwait ::progress
        }
    } finally {
        http::cleanup $token
        unset ::received($token)
    }
}

proc event {id value} {
    object id [text $id] source [text /interop] data [typed $value]
}

# Wants the tree of an error to have a code and, where they are given, a reason and a
# field.
proc expect {error code {reason ""} {field ""}} {
    set found [$error selectNodes string(code)]
    set info {details/objectcontainer[type="google.rpc.ErrorInfo"]/debug/reason}
    set fields {details/objectcontainer[type="google.rpc.BadRequest"]/debug/fieldViolations/*/field}
    if {$found ne $code
        || ($reason ne "" && [$error selectNodes string($info)] ne $reason)
        || ($field ne "" && $field ni [lmap node [$error selectNodes $fields] {$node text}])} {
        fail "expected $code $reason $field, got [$error asJSON]"
    }
}

# Wants the tree of an event to have an id and to hold a value.
proc require_event {got id value} {
    set want [dom parse -json -jsonroot json [typed $value]]
    set data [$got selectNodes data]
    if {[$got selectNodes string(id)] ne $id
        || [canonical $data] ne [canonical [$want documentElement]]} {
        fail "instead of $id: [$got asJSON]"
    }
}

# docs:begin
proc publish_one {url topic id value} {
    set event [object id [text $id] source [text /interop] data [typed $value]]
    set request [object topic [text $topic] events [items $event]]
    set token [http::geturl $url/tidings.v1.PublisherService/Publish -method POST \
        -type application/json -query [encoding convertto utf-8 $request] -timeout 10000]
    if {[http::ncode $token] != 200} {
        error "[http::code $token]: [http::data $token]"
    }
    http::cleanup $token
}
# docs:end

proc create_topic {} {
    set request [object topic [object name [text $::topic] settings [object description [text interop]]]]
    call TopicService/CreateTopic $request
    set response [call TopicService/GetTopic [object name [text $::topic]]]
    if {[$response selectNodes string(/json/topic/settings/description)] ne "interop"} {
        fail [$response asJSON]
    }
    lassign [try_call TopicService/CreateTopic $request] status error
    expect [$error documentElement] already_exists TOPIC_ALREADY_EXISTS
}

proc publish {} {
    set events [lmap {name value} [values] {event $name $value}]
    set request [object topic [text $::topic] events [items {*}$events]]
    set first [[call PublisherService/Publish $request] selectNodes /json/receipts/*]
    set again [[call PublisherService/Publish $request] selectNodes /json/receipts/*]
    if {[llength $first] != [llength $events] || [llength $again] != [llength $events]} {
        fail "[llength $first] and [llength $again] receipts, want [llength $events]"
    }
    set last 0
    foreach receipt $first repeated $again {
        set sequence [$receipt selectNodes string(sequence)]
        if {$sequence <= $last || [$receipt selectNodes boolean(duplicate)]} {
            fail "the receipt [$receipt asJSON] after $last"
        }
        if {[$repeated selectNodes string(sequence)] != $sequence
            || [$repeated selectNodes string(duplicate)] ne "true"} {
            fail "when repeated the receipt [$repeated asJSON]"
        }
        set last $sequence
    }
}

proc publish_invalid {} {
    set bad [event refused [dict replace [full] email [text not-an-address]]]
    set request [object topic [text $::topic] events [items $bad]]
    lassign [try_call PublisherService/Publish $request] status error
    expect [$error documentElement] invalid_argument EVENT_INVALID {events[0].data.email}
}

proc read_all {} {
    set request [object topic [text $::topic] start $::earliest stop [object caughtUp true]]
    set events {}
    set end [stream ReaderService/Read $request frame {
        lappend events {*}[$frame selectNodes /json/events/events/*/event]
    }]
    if {[$end selectNodes boolean(/json/error)]} {
        fail [$end asJSON]
    }
    if {[llength $events] != [dict size [values]]} {
        fail "[llength $events] events"
    }
    foreach event $events {name value} [values] {
        require_event $event $name $value
    }
}

proc from_now {} {
    object topic [text $::topic] start $::new
}

proc tail {} {
    set come ""
    set end [stream ReaderService/Read [from_now] frame {
        if {[$frame selectNodes boolean(/json/caughtUp)]} {
            publish_one $::url $::topic tailed [full]
        }
        set come [lindex [$frame selectNodes /json/events/events/*/event] 0]
        if {$come ne ""} break
    }]
    if {$come eq ""} {
        fail "the call ended before the event came"
    }
    require_event $come tailed [full]
}

proc consume {} {
    set retries [object minBackoff [text 0.1s] maxBackoff [text 1s]]
    set subscription [object name [text $::topic] topic [text $::topic] retryPolicy $retries]
    set request [object subscription $subscription start $::earliest]
    call SubscriptionService/CreateSubscription $request
    set acknowledged {}
    set attempts {} ;# Those of full.
    set wanted [lsort [list tailed {*}[dict keys [values]]]]
    set applied 0
    set end [stream ConsumerService/Receive [object subscription [text $::topic]] frame {
        set settlements {}
        foreach delivery [$frame selectNodes /json/deliveries/deliveries/*] {
            set id [$delivery selectNodes string(recorded/event/id)]
            set token [text [$delivery selectNodes string(deliveryToken)]]
            if {$id eq "full"} {
                lappend attempts [$delivery selectNodes string(attempt)]
            }
            if {$id eq "full" && [llength $attempts] == 1} {
                set nack [object kind [text NACK_KIND_RETRY]]
                lappend settlements [object deliveryToken $token nack $nack]
            } else {
                lappend acknowledged $id
                lappend settlements [object deliveryToken $token ack [object]]
            }
        }
        if {[llength $settlements] == 0} continue
        set request [object subscription [text $::topic] settlements [items {*}$settlements]]
        foreach status [[call ConsumerService/Settle $request] selectNodes /json/results/*/status] {
            if {[$status text] ne "SETTLEMENT_STATUS_APPLIED"} {
                fail "a settlement is [$status text]"
            }
            incr applied
        }
        # One more than events: full is settled twice.
        if {$applied > [llength $wanted]} break
    }]
    if {$end ne "cancelled"} {
        fail "the call ended: [$end asJSON]"
    }
    if {$attempts ne "1 2"} {
        fail "the attempts of full are $attempts"
    }
    if {[lsort $acknowledged] ne $wanted} {
        fail "acknowledged $acknowledged"
    }
}

proc exceed_deadline {} {
    set end [stream ReaderService/Read [from_now] frame {} {Connect-Timeout-Ms 300}]
    set error [$end selectNodes /json/error]
    if {$error eq ""} {
        fail "expected deadline_exceeded, got OK"
    }
    expect $error deadline_exceeded
}

proc cancel {} {
    set end [stream ReaderService/Read [from_now] frame {
        if {[$frame selectNodes boolean(/json/caughtUp)]} break
    }]
    if {$end ne "cancelled"} {
        fail "the call ended before: [$end asJSON]"
    }
}

set failed 0
foreach {name step} {
    topic create_topic publish publish refused publish_invalid read read_all
    tail tail consume consume deadline exceed_deadline cancel cancel
} {
    if {[catch $step result]} {
        puts "$name fail: [regsub -all {\s+} $result { }]"
        puts stderr $::errorInfo
        set failed 1
    } else {
        puts "$name ok"
    }
}
foreach name {golden golden-json} {
    puts "$name n/a: there is no library of protobuf's binary form for Tcl in Debian"
}
exit $failed
