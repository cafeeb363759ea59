// Why a connection ended, in the terms of the events that report it, and the tables between QUIC's error codes and the ABI's statuses.
#pragma once

#include <cstdint>

#include "abi.h"

namespace kwik {

// Codes of RFC 9000, 20.1.
inline constexpr std::uint64_t transport_internal_error = 0x1;
inline constexpr std::uint64_t transport_connection_refused = 0x2;
inline constexpr std::uint64_t transport_invalid_token = 0xb;
inline constexpr std::uint64_t transport_application_error = 0xc;
inline constexpr std::uint64_t transport_no_application_protocol = 0x178;
inline constexpr std::uint64_t transport_user_canceled = 0x15a;

struct EndCause {
    bool by_app = false;   // An application closed it (error is its code), ours or the peer's; otherwise a transport did.
    bool remote = false;   // The peer closed it.
    bool silent = false;   // Nothing is sent to the peer.
    abi::Status status = abi::success;  // For the transport's ends.
    std::uint64_t error = 0;            // Application or transport error code, as on the wire.

    // Our application: ConnectionShutdown.
    static EndCause shutdown(std::uint64_t error, bool silent) noexcept { return {.by_app = true, .silent = silent, .error = error}; }
    static EndCause peer_application(std::uint64_t error) noexcept { return {.by_app = true, .remote = true, .error = error}; }
    static EndCause peer_transport(std::uint64_t error) noexcept { return {.remote = true, .status = status_of_transport_error(error), .error = error}; }
    // Our transport: a TLS alert of ours, or an error of ngtcp2 (its NGTCP2_ERR_ number).
    static EndCause tls_alert(std::uint8_t alert) noexcept { return {.status = status_of_transport_error(0x100u + alert), .error = 0x100u + alert}; }
    static EndCause library_error(int liberr) noexcept;
    // The peer's host no longer knows the connection, as MsQuic reports it.
    static EndCause stateless_reset() noexcept { return transport(abi::aborted, transport_internal_error, true); }
    static EndCause transport(abi::Status status, std::uint64_t error, bool silent) noexcept { return {.silent = silent, .status = status, .error = error}; }

    static abi::Status status_of_transport_error(std::uint64_t error) noexcept;
};

}  // namespace kwik
