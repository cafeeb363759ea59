#include "wire.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace kwik {
namespace {

// A cursor over bytes that fails instead of passing the end; after a failure its position means nothing.
class Reader {
public:
    explicit Reader(std::span<const std::uint8_t> bytes) noexcept : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

    bool skip(std::uint64_t count) noexcept {
        if (count > left()) return false;
        at_ += count;
        return true;
    }

    const std::uint8_t* position() const noexcept { return at_; }

    void skip_all() noexcept { at_ = end_; }

    void skip_zeros() noexcept {
        while (at_ != end_ && *at_ == 0) ++at_;
    }

    bool u8(std::uint8_t& value) noexcept {
        if (at_ == end_) return false;
        value = *at_++;
        return true;
    }

    bool u16(std::uint16_t& value) noexcept {
        if (left() < 2) return false;
        value = static_cast<std::uint16_t>(at_[0] << 8 | at_[1]);
        at_ += 2;
        return true;
    }

    bool block(std::size_t count, std::span<const std::uint8_t>& value) noexcept {
        if (count > left()) return false;
        value = {at_, count};
        at_ += count;
        return true;
    }

    // A vector of TLS with a length of one or two bytes before it.
    bool block8(std::span<const std::uint8_t>& value) noexcept {
        std::uint8_t length;
        return u8(length) && block(length, value);
    }

    bool block16(std::span<const std::uint8_t>& value) noexcept {
        std::uint16_t length;
        return u16(length) && block(length, value);
    }

    // RFC 9000, 16: the two top bits of the first byte are the logarithm of the length.
    bool varint(std::uint64_t& value) noexcept {
        if (at_ == end_) return false;
        const std::size_t length = std::size_t{1} << (*at_ >> 6);
        if (length > left()) return false;
        value = *at_ & 0x3f;
        for (std::size_t i = 1; i < length; ++i) value = value << 8 | at_[i];
        at_ += length;
        return true;
    }

    bool skip_varints(int count) noexcept {
        for (; count > 0; --count) {
            if (at_ == end_ || !skip(std::size_t{1} << (*at_ >> 6))) return false;
        }
        return true;
    }

    bool skip_counted() noexcept {
        std::uint64_t length;
        return varint(length) && skip(length);
    }

private:
    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

std::size_t varint_length(std::uint64_t value) noexcept { return value < 1u << 6 ? 1 : value < 1u << 14 ? 2 : value < 1u << 30 ? 4 : 8; }

// `value` is below 2^62; returns the byte after the last one written.
std::uint8_t* write_varint(std::uint8_t* at, std::uint64_t value) noexcept {
    const std::size_t length = varint_length(value);
    for (std::size_t i = 0; i < length; ++i) at[i] = static_cast<std::uint8_t>(value >> 8 * (length - 1 - i));
    *at |= static_cast<std::uint8_t>(std::countr_zero(length) << 6);
    return at + length;
}

bool read_server_name(std::span<const std::uint8_t> extension, std::string_view& name) noexcept {
    Reader reader{extension};
    std::span<const std::uint8_t> list;
    if (!reader.block16(list) || reader.left() != 0 || list.empty()) return false;
    for (Reader entries{list}; entries.left() != 0;) {
        constexpr std::uint8_t host_name = 0;
        std::uint8_t type;
        std::span<const std::uint8_t> value;
        if (!entries.u8(type) || !entries.block16(value)) return false;
        if (type != host_name) continue;
        // One name of a type (RFC 6066, 3). A NUL would end the name early for whoever reads it as a C string.
        if (!name.empty() || value.empty() || value.size() > 255 || std::ranges::find(value, 0) != value.end()) return false;
        name = {reinterpret_cast<const char*>(value.data()), value.size()};
    }
    return true;
}

bool read_alpn(std::span<const std::uint8_t> extension, std::span<const std::uint8_t>& list) noexcept {
    Reader reader{extension};
    if (!reader.block16(list) || reader.left() != 0 || list.empty()) return false;
    for (Reader names{list}; names.left() != 0;) {
        std::span<const std::uint8_t> name;
        if (!names.block8(name) || name.empty()) return false;
    }
    return true;
}

bool read_hello_body(std::span<const std::uint8_t> body, ClientHello& hello) noexcept {
    constexpr std::size_t version_and_random = 2 + 32;
    constexpr std::uint16_t server_name_extension = 0, alpn_extension = 16;

    Reader reader{body};
    std::span<const std::uint8_t> session_id, cipher_suites, compressions, extensions;
    if (!reader.skip(version_and_random) || !reader.block8(session_id) || session_id.size() > 32) return false;
    if (!reader.block16(cipher_suites) || cipher_suites.empty() || cipher_suites.size() % 2 != 0) return false;
    if (!reader.block8(compressions) || compressions.empty()) return false;
    if (!reader.block16(extensions) || reader.left() != 0) return false;

    bool has_name = false, has_alpn = false;
    for (Reader entries{extensions}; entries.left() != 0;) {
        std::uint16_t type;
        std::span<const std::uint8_t> data;
        if (!entries.u16(type) || !entries.block16(data)) return false;
        if (type == server_name_extension) {
            if (std::exchange(has_name, true) || !read_server_name(data, hello.server_name)) return false;
        } else if (type == alpn_extension) {
            if (std::exchange(has_alpn, true) || !read_alpn(data, hello.alpn_list)) return false;
        }
    }
    return true;
}

// Frame types of RFC 9000, table 3, and RFC 9221, 4.
enum Frame : std::uint8_t {
    padding = 0x00,
    ping = 0x01,
    ack = 0x02,
    ack_ecn = 0x03,
    reset_stream = 0x04,
    stop_sending = 0x05,
    crypto = 0x06,
    new_token = 0x07,
    stream_first = 0x08,
    stream_last = 0x0f,
    max_data = 0x10,
    max_stream_data = 0x11,
    max_streams_bidi = 0x12,
    max_streams_uni = 0x13,
    data_blocked = 0x14,
    stream_data_blocked = 0x15,
    streams_blocked_bidi = 0x16,
    streams_blocked_uni = 0x17,
    new_connection_id = 0x18,
    retire_connection_id = 0x19,
    path_challenge = 0x1a,
    path_response = 0x1b,
    connection_close_transport = 0x1c,
    connection_close_application = 0x1d,
    handshake_done = 0x1e,
    datagram = 0x30,
    datagram_with_length = 0x31,
};

// Bits of the type of a STREAM frame.
constexpr std::uint8_t fin = 0x01, has_length = 0x02, has_offset = 0x04;

bool scan_stream(Reader& reader, std::uint8_t type, FrameSink& sink) noexcept {
    std::uint64_t stream_id;
    if (!reader.varint(stream_id) || !reader.skip_varints(type & has_offset ? 1 : 0)) return false;
    if (!(type & has_length)) reader.skip_all();
    else if (!reader.skip_counted()) return false;
    if (type & fin) sink.stream_fin(static_cast<std::int64_t>(stream_id));
    return true;
}

bool skip_ack(Reader& reader, std::uint8_t type) noexcept {
    std::uint64_t ranges;
    if (!reader.skip_varints(2) || !reader.varint(ranges) || !reader.skip_varints(1)) return false;
    if (ranges > reader.left() / 2) return false;  // Each takes two bytes at least: this bounds the loop.
    return reader.skip_varints(static_cast<int>(2 * ranges)) && (type != ack_ecn || reader.skip_varints(3));
}

bool skip_new_connection_id(Reader& reader) noexcept {
    constexpr std::size_t reset_token = 16;
    std::span<const std::uint8_t> id;
    return reader.skip_varints(2) && reader.block8(id) && !id.empty() && id.size() <= 20 && reader.skip(reset_token);
}

bool scan_stop_sending(Reader& reader, FrameSink& sink) noexcept {
    std::uint64_t stream_id, error_code;
    if (!reader.varint(stream_id) || !reader.varint(error_code)) return false;
    sink.stop_sending(static_cast<std::int64_t>(stream_id), error_code);
    return true;
}

bool scan_reset_stream(Reader& reader, std::span<const std::uint8_t> payload, FrameSink& sink) noexcept {
    const std::uint8_t* const start = reader.position() - 1;
    std::uint64_t stream_id, error_code, final_size;
    if (!reader.varint(stream_id) || !reader.varint(error_code) || !reader.varint(final_size)) return false;
    sink.reset_stream(static_cast<std::int64_t>(stream_id), error_code, final_size, static_cast<std::size_t>(start - payload.data()),
                      static_cast<std::size_t>(reader.position() - start));
    return true;
}

bool scan_connection_close(Reader& reader, bool application, FrameSink& sink) noexcept {
    std::uint64_t error_code;
    if (!reader.varint(error_code) || !reader.skip_varints(application ? 0 : 1) || !reader.skip_counted()) return false;
    sink.connection_close(application, error_code);
    return true;
}

bool scan_frame(Reader& reader, std::uint8_t type, std::span<const std::uint8_t> payload, FrameSink& sink) noexcept {
    if (type >= stream_first && type <= stream_last) return scan_stream(reader, type, sink);
    switch (type) {
        case padding: reader.skip_zeros(); return true;
        case ack:
        case ack_ecn: return skip_ack(reader, type);
        case ping:
        case handshake_done: return true;
        case reset_stream: return scan_reset_stream(reader, payload, sink);
        case stop_sending: return scan_stop_sending(reader, sink);
        case crypto: return reader.skip_varints(1) && reader.skip_counted();
        case new_token:
        case datagram_with_length: return reader.skip_counted();
        case max_stream_data:
        case stream_data_blocked: return reader.skip_varints(2);
        case max_data:
        case max_streams_bidi:
        case max_streams_uni:
        case data_blocked:
        case streams_blocked_bidi:
        case streams_blocked_uni:
        case retire_connection_id: return reader.skip_varints(1);
        case new_connection_id: return skip_new_connection_id(reader);
        case path_challenge:
        case path_response: return reader.skip(8);
        case connection_close_transport:
        case connection_close_application: return scan_connection_close(reader, type == connection_close_application, sink);
        case datagram: reader.skip_all(); return true;
        // A frame type must have its shortest form (RFC 9000, 12.4), so that 0x40 and above are no known type.
        default: return false;
    }
}

}  // namespace

HelloStatus read_client_hello(std::span<const std::uint8_t> crypto_bytes, ClientHello& out) noexcept {
    constexpr std::size_t header = 4;
    constexpr std::uint8_t client_hello = 1;

    if (crypto_bytes.empty()) return HelloStatus::need_more;
    if (crypto_bytes[0] != client_hello) return HelloStatus::malformed;
    if (crypto_bytes.size() < header) return HelloStatus::need_more;
    const std::size_t length = std::size_t{crypto_bytes[1]} << 16 | std::size_t{crypto_bytes[2]} << 8 | crypto_bytes[3];
    if (length > max_client_hello - header) return HelloStatus::malformed;
    if (crypto_bytes.size() - header < length) return HelloStatus::need_more;

    ClientHello hello;
    if (!read_hello_body(crypto_bytes.subspan(header, length), hello)) return HelloStatus::malformed;
    out = hello;
    return HelloStatus::ok;
}

std::span<const std::uint8_t> select_alpn(std::span<const std::uint8_t> preferred, std::span<const std::uint8_t> offered) noexcept {
    std::span<const std::uint8_t> wanted, name;
    for (Reader ours{preferred}; ours.block8(wanted) && !wanted.empty();) {
        for (Reader theirs{offered}; theirs.block8(name) && !name.empty();) {
            if (std::ranges::equal(wanted, name)) return wanted;
        }
    }
    return {};
}

bool scan_frames(std::span<const std::uint8_t> payload, FrameSink& sink) noexcept {
    Reader reader{payload};
    for (std::uint8_t type; reader.u8(type);) {
        if (!scan_frame(reader, type, payload, sink)) return false;
    }
    return true;
}

void write_fin_over_reset(std::span<std::uint8_t> frame, std::int64_t stream_id, std::uint64_t final_size) noexcept {
    constexpr std::uint8_t no_data = 0;
    const auto id = static_cast<std::uint64_t>(stream_id);
    if (frame.size() < 2 + varint_length(id) + varint_length(final_size)) return;
    std::uint8_t* at = frame.data();
    *at++ = stream_first | fin | has_length | has_offset;
    at = write_varint(at, id);
    at = write_varint(at, final_size);
    *at++ = no_data;
    std::fill(at, frame.data() + frame.size(), padding);
}

std::span<const std::uint8_t> write_unknown_version_packet(std::span<std::uint8_t, max_unknown_version_packet> out, std::span<const std::uint8_t> dcid) noexcept {
    // Long header with the fixed bit; a version of the form 0x?a?a?a?a is reserved for exercising version negotiation.
    constexpr std::uint8_t start[] = {0xc0, 0x4a, 0x5a, 0x6a, 0x7a};
    constexpr std::uint8_t no_source_id = 0;

    const std::size_t id_length = std::min<std::size_t>(dcid.size(), 20);
    std::uint8_t* at = std::copy(std::begin(start), std::end(start), out.data());
    *at++ = static_cast<std::uint8_t>(id_length);
    at = std::copy_n(dcid.begin(), id_length, at);
    *at++ = no_source_id;
    return std::span<const std::uint8_t>{out}.first(static_cast<std::size_t>(at - out.data()));
}

}  // namespace kwik
