# The values that are published. values/*.json in the directory above says what they
# are.
package Values;
use v5.36;
use utf8;

use Exporter qw(import);
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Scalar::Util qw(looks_like_number);

our @EXPORT_OK = qw(full values_in_order same);

# Numbers of 64 bits are texts in JSON. So are doubles here where Perl would write
# fewer digits than they have.
sub full () {
    return {
        name           => 'full',
        email          => 'ada@example.com',
        doubleValue    => 1.5,
        floatValue     => -2.25,
        int32Value     => -32,
        int64Value     => '-64',
        uint32Value    => 32,
        uint64Value    => '64',
        sint32Value    => -320,
        sint64Value    => '-640',
        fixed32Value   => 3200,
        fixed64Value   => '6400',
        sfixed32Value  => -3200,
        sfixed64Value  => '-6400',
        boolValue      => JSON::PP::true,
        stringValue    => 'text',
        bytesValue     => encode_base64( "\x00\x01\x02\xff", '' ),
        colour         => 'COLOUR_GREEN',
        optionalNumber => 7,
        optionalText   => 'there',
        part    => { label => 'outer', count => 1, parts => [ { label => 'inner', count => 2 } ] },
        numbers => [ '1',                  '-2', '3' ],
        texts   => [ 'one',                'two' ],
        parts   => [ { label => 'first' }, { label => 'second', count => 2 } ],
        colours => [ 'COLOUR_RED',         'COLOUR_INFRARED' ],
        textsByText    => { a     => '1',                b     => '2' },
        partsByNumber  => { 1     => { label => 'one' }, -1    => { label => 'minus one' } },
        numbersByTruth => { true  => 1,                  false => 0 },
        chosenPart     => { label => 'chosen' },
        timestamp      => '2026-11-22T12:34:56.789012345Z',
        duration       => '-1.500s',
        wrappedNumber  => '0',
        object => { list => [ 1, 'two', undef, JSON::PP::true ], nested => { key => 'value' } },
        any    => {
            '@type' => 'type.googleapis.com/tidings.conformance.v1.Part',
            label   => 'any',
            count   => 3,
        },
    };
}

sub maximal () {
    my ( $int32, $uint32 ) = ( 2**31 - 1, 2**32 - 1 );
    my ( $int64, $uint64 ) = ( '9223372036854775807', '18446744073709551615' );
    return {
        name           => 'max',
        doubleValue    => '1.7976931348623157e308',
        floatValue     => '3.4028235e38',
        int32Value     => $int32,
        int64Value     => $int64,
        uint32Value    => $uint32,
        uint64Value    => $uint64,
        sint32Value    => $int32,
        sint64Value    => $int64,
        fixed32Value   => $uint32,
        fixed64Value   => $uint64,
        sfixed32Value  => $int32,
        sfixed64Value  => $int64,
        optionalNumber => $int32,
        numbers        => [ $int64, '9007199254740993' ],
        partsByNumber  => { $int64 => { label => 'max', count => $int32 } },
        chosenNumber   => $int64,
        timestamp      => '9999-12-31T23:59:59.999999999Z',
        duration       => '315576000000s',
        wrappedNumber  => $int64,
    };
}

sub minimal () {
    my ( $int32, $int64 ) = ( -2**31, '-9223372036854775808' );
    return {
        name           => 'min',
        doubleValue    => '5e-324',
        floatValue     => '-3.4028235e38',
        int32Value     => $int32,
        int64Value     => $int64,
        sint32Value    => $int32,
        sint64Value    => $int64,
        sfixed32Value  => $int32,
        sfixed64Value  => $int64,
        optionalNumber => $int32,
        numbers        => [ $int64, '-9007199254740993' ],
        partsByNumber  => { $int64 => { label => 'min', count => $int32 } },
        chosenNumber   => $int64,
        timestamp      => '0001-01-01T00:00:00Z',
        duration       => '-315576000000s',
        wrappedNumber  => $int64,
    };
}

# What is there and empty.
sub empty () {
    return {
        name           => 'empty',
        optionalNumber => 0,
        optionalText   => '',
        part           => {},
        parts          => [ {} ],
        texts          => [''],
        chosenText     => '',
        wrappedNumber  => '0',
        object         => {},
    };
}

sub unicode () {
    return {
        name        => 'unicode',
        stringValue => "Grüße, 世界, עולם, 🌍, e\x{301}, \"\\/\n",
        texts       => [ '🇪🇺', "\x{feff}", "\x{2028}", "👩\x{200d}👩\x{200d}👧" ],
        textsByText => { 'ключ' => 'значение', '鍵' => '値' },
        chosenText  => '𝔘𝔫𝔦𝔠𝔬𝔡𝔢',
        bytesValue  => encode_base64( "\xc3\xbf\xf0\x9f\x8c\x8d", '' ),
    };
}

sub values_in_order () { return ( full(), maximal(), minimal(), empty(), unicode() ) }

# Whether two values of JSON are the same. Doubles may be written in several ways; all
# other numbers that are written in a fraction's way can't be told from them, and
# numbers of 64 bits are compared as the texts that they are.
sub same ( $got, $want ) {
    return !defined $got && !defined $want unless defined $got && defined $want;
    return 0 if ref $got ne ref $want;
    if ( ref $want eq 'HASH' ) {
        return 0 if keys %$got != keys %$want;
        return !grep { !exists $got->{$_} || !same( $got->{$_}, $want->{$_} ) } keys %$want;
    }
    if ( ref $want eq 'ARRAY' ) {
        return @$got == @$want && !grep { !same( $got->[$_], $want->[$_] ) } 0 .. $#$want;
    }
    return 1 if $got eq $want;
    return $want =~ /[.e]/ && looks_like_number($got) && looks_like_number($want) && $got == $want;
}

1;
