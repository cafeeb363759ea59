// ngtcp2's API, as version 1 has it, on every version that this library is built with: 0.12.1, and 1.x from 1.11 on.
//
// All other sources include this instead of ngtcp2's headers and use the names of version 1; nothing outside of this file asks for the version. The first half names for 0.12 what it
// calls otherwise, so it can be deleted with the support of it. The second half, in our namespace, is for what no other name can bridge.
#pragma once

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <cstddef>
#include <cstdint>
#include <span>

#define KWIK_NGTCP2_0_12 (NGTCP2_VERSION_NUM == 0x000c01)

static_assert(KWIK_NGTCP2_0_12 || (NGTCP2_VERSION_NUM >= 0x010b00 && NGTCP2_VERSION_NUM < 0x020000), "compare ngtcp2's headers with this file before you allow another version");

#if KWIK_NGTCP2_0_12

using ngtcp2_encryption_level = ngtcp2_crypto_level;
inline constexpr ngtcp2_encryption_level NGTCP2_ENCRYPTION_LEVEL_INITIAL = NGTCP2_CRYPTO_LEVEL_INITIAL;
inline constexpr ngtcp2_encryption_level NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE = NGTCP2_CRYPTO_LEVEL_HANDSHAKE;
inline constexpr ngtcp2_encryption_level NGTCP2_ENCRYPTION_LEVEL_1RTT = NGTCP2_CRYPTO_LEVEL_APPLICATION;
inline constexpr ngtcp2_encryption_level NGTCP2_ENCRYPTION_LEVEL_0RTT = NGTCP2_CRYPTO_LEVEL_EARLY;

// Why a connection closes.
using ngtcp2_ccerr = ngtcp2_connection_close_error;
inline constexpr auto NGTCP2_CCERR_TYPE_TRANSPORT = NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_TRANSPORT;
inline constexpr auto NGTCP2_CCERR_TYPE_APPLICATION = NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION;

inline void ngtcp2_ccerr_default(ngtcp2_ccerr* error) { ngtcp2_connection_close_error_default(error); }
inline void ngtcp2_ccerr_set_transport_error(ngtcp2_ccerr* error, std::uint64_t code, const std::uint8_t* reason, std::size_t length) {
    ngtcp2_connection_close_error_set_transport_error(error, code, reason, length);
}
inline void ngtcp2_ccerr_set_liberr(ngtcp2_ccerr* error, int liberr, const std::uint8_t* reason, std::size_t length) {
    ngtcp2_connection_close_error_set_transport_error_liberr(error, liberr, reason, length);
}
inline void ngtcp2_ccerr_set_tls_alert(ngtcp2_ccerr* error, std::uint8_t alert, const std::uint8_t* reason, std::size_t length) {
    ngtcp2_connection_close_error_set_transport_error_tls_alert(error, alert, reason, length);
}
inline void ngtcp2_ccerr_set_application_error(ngtcp2_ccerr* error, std::uint64_t code, const std::uint8_t* reason, std::size_t length) {
    ngtcp2_connection_close_error_set_application_error(error, code, reason, length);
}

// Version 1 has fewer fields; those it has are the same. min_rtt is UINT64_MAX before the first sample, in both.
using ngtcp2_conn_info = ngtcp2_conn_stat;
inline void ngtcp2_conn_get_conn_info(ngtcp2_conn* conn, ngtcp2_conn_info* info) { ngtcp2_conn_get_conn_stat(conn, info); }

inline int ngtcp2_conn_in_closing_period(ngtcp2_conn* conn) { return ngtcp2_conn_is_in_closing_period(conn); }
inline int ngtcp2_conn_in_draining_period(ngtcp2_conn* conn) { return ngtcp2_conn_is_in_draining_period(conn); }

// With nullptr, how many there are.
inline std::size_t ngtcp2_conn_get_scid(ngtcp2_conn* conn, std::nullptr_t) { return ngtcp2_conn_get_num_scid(conn); }
inline std::size_t ngtcp2_conn_get_active_dcid(ngtcp2_conn* conn, std::nullptr_t) { return ngtcp2_conn_get_num_active_dcid(conn); }

// Version 1 added flags, of which there are none yet.
inline int ngtcp2_conn_shutdown_stream(ngtcp2_conn* conn, std::uint32_t, std::int64_t stream, std::uint64_t error) { return ngtcp2_conn_shutdown_stream(conn, stream, error); }
inline int ngtcp2_conn_shutdown_stream_write(ngtcp2_conn* conn, std::uint32_t, std::int64_t stream, std::uint64_t error) {
    return ngtcp2_conn_shutdown_stream_write(conn, stream, error);
}
inline int ngtcp2_conn_shutdown_stream_read(ngtcp2_conn* conn, std::uint32_t, std::int64_t stream, std::uint64_t error) {
    return ngtcp2_conn_shutdown_stream_read(conn, stream, error);
}

enum ngtcp2_token_type { NGTCP2_TOKEN_TYPE_UNKNOWN, NGTCP2_TOKEN_TYPE_RETRY, NGTCP2_TOKEN_TYPE_NEW_TOKEN };

// 0.12 does not say when a client at a new address should get a token.
inline constexpr std::uint32_t NGTCP2_PATH_VALIDATION_FLAG_NEW_TOKEN = 0;

#endif

namespace kwik {

// ---------------------------------------------------------------------------------------------------- fields

// The id that the client invented for the server: what the server's transport parameters have to prove that it saw.
inline void set_original_dcid(ngtcp2_transport_params& params, const ngtcp2_cid& id) noexcept {
    params.original_dcid = id;
#if !KWIK_NGTCP2_0_12
    params.original_dcid_present = 1;
#endif
}

// The token of an Initial packet, empty if there is none. Points into the datagram.
inline std::span<const std::uint8_t> token_of(const ngtcp2_pkt_hd& header) noexcept {
#if KWIK_NGTCP2_0_12
    return {header.token.base, header.token.len};
#else
    return {header.token, header.tokenlen};
#endif
}

// A client's token to send; for a server the one that it received and found valid, which ends the limits on an unvalidated address. ngtcp2_conn_*_new copies it.
inline void set_token(ngtcp2_settings& settings, std::span<const std::uint8_t> token, [[maybe_unused]] ngtcp2_token_type type) noexcept {
#if KWIK_NGTCP2_0_12
    settings.token = {const_cast<std::uint8_t*>(token.data()), token.size()};
#else
    settings.token = token.data();
    settings.tokenlen = token.size();
    settings.token_type = type;
#endif
}

// What the peer closed the connection with.
inline ngtcp2_ccerr close_error_of(ngtcp2_conn* conn) noexcept {
#if KWIK_NGTCP2_0_12
    ngtcp2_ccerr error;
    ngtcp2_conn_get_connection_close_error(conn, &error);
    return error;
#else
    return *ngtcp2_conn_get_ccerr(conn);
#endif
}

// ---------------------------------------------------------------------------------------------------- callbacks

// Functions with the signatures of version 1, as ngtcp2_callbacks wants them. old_path is always nullptr in 0.12.
#if KWIK_NGTCP2_0_12
template <int (*function)(ngtcp2_conn*, std::uint32_t flags, const ngtcp2_path* path, const ngtcp2_path* old_path, ngtcp2_path_validation_result, void* user_data)>
inline constexpr ngtcp2_path_validation path_validation_callback = [](ngtcp2_conn* conn, std::uint32_t flags, const ngtcp2_path* path, ngtcp2_path_validation_result result,
                                                                      void* user_data) { return function(conn, flags, path, nullptr, result, user_data); };

template <int (*function)(ngtcp2_conn*, ngtcp2_connection_id_status_type, std::uint64_t sequence, const ngtcp2_cid*, const std::uint8_t* reset_token, void* user_data)>
inline constexpr ngtcp2_connection_id_status dcid_status_callback = [](ngtcp2_conn* conn, int type, std::uint64_t sequence, const ngtcp2_cid* id, const std::uint8_t* reset_token,
                                                                       void* user_data) {
    return function(conn, static_cast<ngtcp2_connection_id_status_type>(type), sequence, id, reset_token, user_data);
};

template <int (*function)(ngtcp2_conn*, const std::uint8_t* token, std::size_t length, void* user_data)>
inline constexpr ngtcp2_recv_new_token recv_new_token_callback = [](ngtcp2_conn* conn, const ngtcp2_vec* token, void* user_data) {
    return function(conn, token->base, token->len, user_data);
};
#else
template <ngtcp2_path_validation function>
inline constexpr ngtcp2_path_validation path_validation_callback = function;
template <ngtcp2_connection_id_status function>
inline constexpr ngtcp2_connection_id_status dcid_status_callback = function;
template <ngtcp2_recv_new_token function>
inline constexpr ngtcp2_recv_new_token recv_new_token_callback = function;
#endif

// ---------------------------------------------------------------------------------------------------- behaviour

// Whether a RESET_STREAM that comes before anything else of its stream opens it, as any other frame does.
inline constexpr bool reset_opens_stream = !KWIK_NGTCP2_0_12;

// What ngtcp2_conn_update_pkt_tx_time is to be told by a connection that does not want to be paced. 0.12 sums up what was sent until it is told a time; told one long past, it starts
// afresh and allows the next packet at once. Version 1 insists on times that do not go back. It needs no such trick: below 2 ms its pacing is fine enough, and it takes into account
// when it was called late.
inline ngtcp2_tstamp unpaced_tx_time([[maybe_unused]] ngtcp2_tstamp now) noexcept {
#if KWIK_NGTCP2_0_12
    return 1;
#else
    return now;
#endif
}

}  // namespace kwik
