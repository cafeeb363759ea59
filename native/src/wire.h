// Readers of the few bytes on the wire that ngtcp2 does not show to its caller: the ClientHello before a configuration is known, and the frames of a decrypted packet.
//
// All functions are pure: no allocation, no state, no clock; input of any content and length is safe. Datagram headers are not here: ngtcp2_pkt_decode_version_cid reads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace kwik {

// The largest ClientHello that is read, TLS header included. Ordinary ones have 300 to 600 bytes, those with post-quantum key shares under 3,000.
inline constexpr std::size_t max_client_hello = 16 * 1024;

// The most of one level of the handshake that is taken, chains of certificates included: it is kept while an application looks at them.
inline constexpr std::size_t max_handshake = 128 * 1024;

enum class HelloStatus {
    need_more,  // A valid beginning: call again with more bytes of the stream.
    ok,         // The whole message was read.
    malformed,  // Not a ClientHello, a broken one, or one above max_client_hello. More bytes cannot change this.
};

// Both views point into the bytes given to read_client_hello and live as long as those.
struct ClientHello {
    std::string_view server_name;             // Host name of the server_name extension as sent, 1 to 255 bytes without NUL; empty if there is none.
    std::span<const std::uint8_t> alpn_list;  // The client's protocols in its order, each preceded by its length byte (never 0); empty if there is none.
};

// Reads the start of a client's CRYPTO stream at the Initial level, from offset 0. `out` is written only when the result is ok.
// An ok result says nothing about the rest of the handshake: GnuTLS reads the same bytes again.
[[nodiscard]] HelloStatus read_client_hello(std::span<const std::uint8_t> crypto_bytes, ClientHello& out) noexcept;

// The first protocol of `preferred` that `offered` has too, without its length byte; empty if there is none. Both lists are in wire form (see ClientHello::alpn_list);
// a list that is cut or has an empty name ends where it breaks.
[[nodiscard]] std::span<const std::uint8_t> select_alpn(std::span<const std::uint8_t> preferred, std::span<const std::uint8_t> offered) noexcept;

// What scan_frames reports, in the order of the packet. The scanner calls nothing for any other frame.
class FrameSink {
public:
    virtual void stop_sending(std::int64_t /*stream_id*/, std::uint64_t /*error_code*/) noexcept {}
    // A RESET_STREAM, which takes up `length` bytes of the payload from `offset`.
    virtual void reset_stream(std::int64_t /*stream_id*/, std::uint64_t /*error_code*/, std::uint64_t /*final_size*/, std::size_t /*offset*/, std::size_t /*length*/) noexcept {}
    // A STREAM frame with the FIN bit.
    virtual void stream_fin(std::int64_t /*stream_id*/) noexcept {}
    // A CONNECTION_CLOSE: `application` tells type 0x1d from 0x1c.
    virtual void connection_close(bool /*application*/, std::uint64_t /*error_code*/) noexcept {}

protected:
    ~FrameSink() = default;
};

// Walks all frames of a decrypted QUIC version 1 payload (RFC 9000, 19; RFC 9221 for DATAGRAM) of any packet type. Runs for every packet received, so it only skips over what
// nobody asks for: it checks that each frame lies within the payload and that its type is known, not the rules that ngtcp2 enforces.
// Returns false when a frame is cut or unknown; the frames before it were reported already. An empty payload is true.
[[nodiscard]] bool scan_frames(std::span<const std::uint8_t> payload, FrameSink& sink) noexcept;

// Writes a zero-length STREAM frame with FIN at offset final_size (RFC 9000, 19.8) over a RESET_STREAM, and PADDING over what is left: ngtcp2 0.12.1 makes no stream for a reset that
// arrives before anything else of its stream, but does for a FIN. Precondition: `frame` is exactly the bytes of the RESET_STREAM with this id and final size, as FrameSink got them;
// it always fits, because the reset carries an error code besides. Anything too short for the STREAM frame is left as it is.
void write_fin_over_reset(std::span<std::uint8_t> frame, std::int64_t stream_id, std::uint64_t final_size) noexcept;

// Largest result of write_unknown_version_packet.
inline constexpr std::size_t max_unknown_version_packet = 32;

// Writes a long-header packet with a version that nobody supports (RFC 9000, 15) and an empty source id. ngtcp2_conn_read_pkt discards it without an error, but does what it does
// after each packet of a handshake; this is how a handshake that was completed outside read_pkt (TlsSession::resume_validation) gets its handshake_completed callback.
// Preconditions: dcid has at most 20 bytes and is a source id of the connection it is fed to. Returns the part of `out` that was written.
[[nodiscard]] std::span<const std::uint8_t> write_unknown_version_packet(std::span<std::uint8_t, max_unknown_version_packet> out, std::span<const std::uint8_t> dcid) noexcept;

}  // namespace kwik
