#include "end_cause.h"

#include "quic_api.h"

namespace kwik {

abi::Status EndCause::status_of_transport_error(std::uint64_t error) noexcept {
    constexpr std::uint64_t tls_handshake_failure = 0x128;
    switch (error) {
    case 0: return abi::success;
    case transport_connection_refused: return abi::connection_refused;
    case transport_application_error:
    case transport_user_canceled: return abi::user_canceled;
    case transport_no_application_protocol: return abi::alpn_neg_failure;
    case tls_handshake_failure: return abi::handshake_failure;  // The one alert besides these that MsQuic has a status of its own for.
    default: break;
    }
    if (error >= 0x100 && error <= 0x1ff) return abi::tls_alert_base + static_cast<abi::Status>(error & 0xff);
    return abi::protocol_error;
}

EndCause EndCause::library_error(int liberr) noexcept {
    switch (liberr) {
    case NGTCP2_ERR_IDLE_CLOSE: return transport(abi::connection_idle, transport_internal_error, true);
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT: return transport(abi::connection_timeout, transport_internal_error, false);
    case NGTCP2_ERR_INTERNAL: return transport(abi::internal_error, transport_internal_error, false);
    case NGTCP2_ERR_NOMEM: return transport(abi::out_of_memory, transport_internal_error, false);
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION: return transport(abi::ver_neg_error, transport_internal_error, true);
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY: return transport(abi::internal_error, transport_internal_error, true);
    default: break;
    }
    const std::uint64_t error = ngtcp2_err_infer_quic_transport_error_code(liberr);
    return transport(abi::protocol_error, error, false);
}

}  // namespace kwik
