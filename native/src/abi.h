// The part of the MsQuic 2 C ABI (x86-64 and arm64 Linux) that System.Net.Quic uses: constants, structures and the function table, declared by us.
//
// Nothing here has behaviour. Every offset that a caller depends on is asserted below, so a change that would break the ABI does not compile.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kwik::abi {

// Results. Zero and below are successes, as for MsQuic on Linux.
using Status = std::int32_t;
enum : Status {
    success = 0,
    pending = -2,        // Accepted; an event follows.
    keep_going = -1,     // CONTINUE: the answer to RECEIVE that wants the rest at once.
    invalid_state = 1,
    not_found = 2,
    internal_error = 5,
    out_of_memory = 12,
    invalid_parameter = 22,
    connection_idle = 62,
    protocol_error = 71,
    buffer_too_small = 75,
    alpn_in_use = 91,
    alpn_neg_failure = 92,
    ver_neg_error = 93,
    not_supported = 95,
    invalid_address = 97,
    address_in_use = 98,
    address_not_available = 99,
    handshake_failure = 103,
    connection_timeout = 110,
    connection_refused = 111,
    unreachable = 113,
    aborted = 125,
    tls_error = 126,
    user_canceled = 130,
    tls_alert_base = 0xBEBC300,  // + the alert's number.
};

constexpr bool failed(Status status) { return status > 0; }

enum Param : std::uint32_t {
    param_global_retry_memory = 0x01000000,    // uint16_t, in 1/65535 of the memory of the machine
    param_global_version = 0x01000004,         // uint32_t[4]
    param_global_git_hash = 0x01000008,        // char[64]
    param_global_tls_provider = 0x0100000A,    // uint32_t; 1 is OpenSSL
    param_global_reset_key = 0x0100000B,       // uint8_t[32]
    param_listener_local_address = 0x04000000, // QUIC_ADDR
    param_conn_local_address = 0x05000001,     // QUIC_ADDR
    param_conn_remote_address = 0x05000002,    // QUIC_ADDR
    param_conn_tls_secrets = 0x05000013,       // pointer to QUIC_TLS_SECRETS
    param_tls_handshake_info = 0x06000000,     // QUIC_HANDSHAKE_INFO
    param_stream_id = 0x08000000,              // uint64_t
};

inline constexpr std::uint32_t address_size = 28;  // sizeof(QUIC_ADDR): a union of sockaddr_in and sockaddr_in6 with Linux' family numbers.
inline constexpr std::uint32_t provider_openssl = 1;

enum StreamOpenFlag : std::uint32_t { open_unidirectional = 1, open_delay_id_updates = 4 };
enum StreamStartFlag : std::uint32_t { start_immediate = 1, start_fail_blocked = 2, start_shutdown_on_fail = 4, start_indicate_accept = 8 };
enum StreamShutdownFlag : std::uint32_t { shutdown_graceful = 1, shutdown_abort_send = 2, shutdown_abort_receive = 4, shutdown_immediate = 8 };
enum SendFlag : std::uint32_t { send_fin = 4 };
enum ReceiveFlag : std::uint32_t { receive_fin = 2 };
enum ConnectionShutdownFlag : std::uint32_t { connection_silent = 1 };

struct Buffer {
    std::uint32_t length;
    std::uint8_t* data;
};
static_assert(sizeof(Buffer) == 16 && offsetof(Buffer, data) == 8);

struct Settings {
    // Bit numbers of is_set.
    enum Bit { handshake_idle_timeout = 1, idle_timeout = 2, conn_flow_control_window = 8, keep_alive_interval = 16, peer_bidi = 18, peer_unidi = 19,
               stream_window_bidi_local = 35, stream_window_bidi_remote = 36, stream_window_unidi = 37 };

    std::uint64_t is_set;
    std::uint64_t max_bytes_per_key;
    std::uint64_t handshake_idle_timeout_ms;
    std::uint64_t idle_timeout_ms;  // 0 is no timeout.
    std::uint64_t mtu_discovery_timeout_us;
    std::uint32_t tls_client_max_send_buffer;
    std::uint32_t tls_server_max_send_buffer;
    std::uint32_t stream_recv_window;
    std::uint32_t stream_recv_buffer;
    std::uint32_t conn_flow_control_window_bytes;
    std::uint32_t unused_a[7];
    std::uint32_t keep_alive_interval_ms;  // 0 is off.
    std::uint16_t congestion_control;
    std::uint16_t peer_bidi_streams;
    std::uint16_t peer_unidi_streams;
    std::uint16_t unused_b[4];
    std::uint8_t unused_c[14];
    std::uint64_t flags;
    std::uint32_t stream_window_bidi_local_bytes;
    std::uint32_t stream_window_bidi_remote_bytes;
    std::uint32_t stream_window_unidi_bytes;
};
static_assert(sizeof(Settings) == 144);
static_assert(offsetof(Settings, handshake_idle_timeout_ms) == 16 && offsetof(Settings, idle_timeout_ms) == 24);
static_assert(offsetof(Settings, conn_flow_control_window_bytes) == 56 && offsetof(Settings, keep_alive_interval_ms) == 88);
static_assert(offsetof(Settings, peer_bidi_streams) == 94 && offsetof(Settings, peer_unidi_streams) == 96);
static_assert(offsetof(Settings, stream_window_bidi_local_bytes) == 128 && offsetof(Settings, stream_window_bidi_remote_bytes) == 132);
static_assert(offsetof(Settings, stream_window_unidi_bytes) == 136);

enum CredentialType : std::uint32_t { credential_none = 0, credential_pkcs12 = 6 };

struct CertificatePkcs12 {
    const std::uint8_t* blob;
    std::uint32_t blob_length;
    const char* password;
};
static_assert(sizeof(CertificatePkcs12) == 24 && offsetof(CertificatePkcs12, blob_length) == 8 && offsetof(CertificatePkcs12, password) == 16);

struct CredentialConfig {
    std::uint32_t type;
    std::uint32_t flags;
    const CertificatePkcs12* pkcs12;
    const char* principal;
    void* reserved;
    void* async_handler;
    std::uint32_t allowed_cipher_suites;
    const char* ca_certificate_file;
};
static_assert(sizeof(CredentialConfig) == 56 && offsetof(CredentialConfig, pkcs12) == 8 && offsetof(CredentialConfig, allowed_cipher_suites) == 40);

struct NewConnectionInfo {
    std::uint32_t version;
    const void* local_address;
    const void* remote_address;
    std::uint32_t crypto_length;
    std::uint16_t alpn_list_length;
    std::uint16_t server_name_length;
    std::uint8_t negotiated_alpn_length;
    const std::uint8_t* crypto;
    const std::uint8_t* alpn_list;
    const std::uint8_t* negotiated_alpn;
    const char* server_name;
};
static_assert(sizeof(NewConnectionInfo) == 72 && offsetof(NewConnectionInfo, local_address) == 8 && offsetof(NewConnectionInfo, remote_address) == 16);
static_assert(offsetof(NewConnectionInfo, crypto_length) == 24 && offsetof(NewConnectionInfo, alpn_list_length) == 28);
static_assert(offsetof(NewConnectionInfo, server_name_length) == 30 && offsetof(NewConnectionInfo, negotiated_alpn_length) == 32);
static_assert(offsetof(NewConnectionInfo, crypto) == 40 && offsetof(NewConnectionInfo, alpn_list) == 48);
static_assert(offsetof(NewConnectionInfo, negotiated_alpn) == 56 && offsetof(NewConnectionInfo, server_name) == 64);

struct ListenerEvent {
    enum Type : std::uint32_t { new_connection = 0, stop_complete = 1 };
    std::uint32_t type;
    union {
        struct { const NewConnectionInfo* info; void* connection; } fresh;
        struct { std::uint8_t app_close_in_progress; } stopped;
    };
};
static_assert(sizeof(ListenerEvent) == 24 && offsetof(ListenerEvent, fresh.info) == 8 && offsetof(ListenerEvent, fresh.connection) == 16);

struct ConnectionEvent {
    enum Type : std::uint32_t { connected = 0, shutdown_by_transport = 1, shutdown_by_peer = 2, shutdown_complete = 3, peer_address_changed = 5, peer_stream_started = 6, streams_available = 7,
                                peer_certificate_received = 15 };
    std::uint32_t type;
    union {
        struct { std::uint8_t resumed; std::uint8_t alpn_length; const std::uint8_t* alpn; } ready;
        struct { Status status; std::uint64_t error; } transport;
        struct { std::uint64_t error; } peer;
        struct { std::uint8_t bits; } complete;  // 1 handshake completed, 2 peer acknowledged, 4 the application closes the handle.
        struct { const void* address; } moved;
        struct { void* stream; std::uint32_t flags; } started;
        struct { std::uint16_t bidirectional; std::uint16_t unidirectional; } available;
        struct { const Buffer* certificate; std::uint32_t deferred_flags; Status deferred_status; const Buffer* chain; } certificate;
    };
};
static_assert(sizeof(ConnectionEvent) == 32);
static_assert(offsetof(ConnectionEvent, ready.resumed) == 8 && offsetof(ConnectionEvent, ready.alpn_length) == 9 && offsetof(ConnectionEvent, ready.alpn) == 16);
static_assert(offsetof(ConnectionEvent, transport.status) == 8 && offsetof(ConnectionEvent, transport.error) == 16 && offsetof(ConnectionEvent, peer.error) == 8);
static_assert(offsetof(ConnectionEvent, started.stream) == 8 && offsetof(ConnectionEvent, started.flags) == 16);
static_assert(offsetof(ConnectionEvent, available.bidirectional) == 8 && offsetof(ConnectionEvent, available.unidirectional) == 10);
static_assert(offsetof(ConnectionEvent, certificate.certificate) == 8 && offsetof(ConnectionEvent, certificate.chain) == 24);

struct StreamEvent {
    enum Type : std::uint32_t { start_complete = 0, receive = 1, send_complete = 2, peer_send_shutdown = 3, peer_send_aborted = 4, peer_receive_aborted = 5,
                                send_shutdown_complete = 6, shutdown_complete = 7, peer_accepted = 9 };
    enum ShutdownBit : std::uint8_t { app_close_in_progress = 1, by_app = 2, closed_remotely = 4 };
    std::uint32_t type;
    union {
        struct { Status status; std::uint64_t id; std::uint8_t peer_accepted; } started;
        struct { std::uint64_t offset; std::uint64_t total_length; const Buffer* buffers; std::uint32_t buffer_count; std::uint32_t flags; } received;
        struct { std::uint8_t canceled; void* context; } sent;
        struct { std::uint64_t error; } aborted;
        struct { std::uint8_t graceful; } send_shutdown;
        struct { std::uint8_t connection_shutdown; std::uint8_t bits; std::uint64_t error; Status status; } complete;
    };
};
static_assert(sizeof(StreamEvent) == 40);
static_assert(offsetof(StreamEvent, started.status) == 8 && offsetof(StreamEvent, started.id) == 16 && offsetof(StreamEvent, started.peer_accepted) == 24);
static_assert(offsetof(StreamEvent, received.offset) == 8 && offsetof(StreamEvent, received.total_length) == 16 && offsetof(StreamEvent, received.buffers) == 24);
static_assert(offsetof(StreamEvent, received.buffer_count) == 32 && offsetof(StreamEvent, received.flags) == 36);
static_assert(offsetof(StreamEvent, sent.canceled) == 8 && offsetof(StreamEvent, sent.context) == 16);
static_assert(offsetof(StreamEvent, complete.connection_shutdown) == 8 && offsetof(StreamEvent, complete.bits) == 9);
static_assert(offsetof(StreamEvent, complete.error) == 16 && offsetof(StreamEvent, complete.status) == 24);

using HandlePointer = void*;
using ListenerCallback = Status (*)(HandlePointer, void* context, ListenerEvent*);
using ConnectionCallback = Status (*)(HandlePointer, void* context, ConnectionEvent*);
using StreamCallback = Status (*)(HandlePointer, void* context, StreamEvent*);

// QUIC_API_TABLE. Entries that System.Net.Quic never calls are present, because the position of the others depends on them, and answer NOT_SUPPORTED or do nothing.
struct Table {
    void (*set_context)(HandlePointer, void*);
    void* (*get_context)(HandlePointer);
    void (*set_callback_handler)(HandlePointer, void*, void*);
    Status (*set_param)(HandlePointer, std::uint32_t, std::uint32_t, const void*);
    Status (*get_param)(HandlePointer, std::uint32_t, std::uint32_t*, void*);
    Status (*registration_open)(const void*, HandlePointer*);
    void (*registration_close)(HandlePointer);
    void (*registration_shutdown)(HandlePointer, std::uint32_t, std::uint64_t);
    Status (*configuration_open)(HandlePointer, const Buffer*, std::uint32_t, const Settings*, std::uint32_t, void*, HandlePointer*);
    void (*configuration_close)(HandlePointer);
    Status (*configuration_load_credential)(HandlePointer, const CredentialConfig*);
    Status (*listener_open)(HandlePointer, ListenerCallback, void*, HandlePointer*);
    void (*listener_close)(HandlePointer);
    Status (*listener_start)(HandlePointer, const Buffer*, std::uint32_t, const void*);
    void (*listener_stop)(HandlePointer);
    Status (*connection_open)(HandlePointer, ConnectionCallback, void*, HandlePointer*);
    void (*connection_close)(HandlePointer);
    void (*connection_shutdown)(HandlePointer, std::uint32_t, std::uint64_t);
    Status (*connection_start)(HandlePointer, HandlePointer, std::uint16_t, const char*, std::uint16_t);
    Status (*connection_set_configuration)(HandlePointer, HandlePointer);
    Status (*connection_send_resumption_ticket)(HandlePointer, std::uint32_t, std::uint16_t, const std::uint8_t*);
    Status (*stream_open)(HandlePointer, std::uint32_t, StreamCallback, void*, HandlePointer*);
    void (*stream_close)(HandlePointer);
    Status (*stream_start)(HandlePointer, std::uint32_t);
    Status (*stream_shutdown)(HandlePointer, std::uint32_t, std::uint64_t);
    Status (*stream_send)(HandlePointer, const Buffer*, std::uint32_t, std::uint32_t, void*);
    void (*stream_receive_complete)(HandlePointer, std::uint64_t);
    Status (*stream_receive_set_enabled)(HandlePointer, std::uint8_t);
    Status (*datagram_send)(HandlePointer, const Buffer*, std::uint32_t, std::uint32_t, void*);
    Status (*connection_resumption_ticket_validation_complete)(HandlePointer, std::uint8_t);
    Status (*connection_certificate_validation_complete)(HandlePointer, std::uint8_t, std::uint32_t);
    Status (*connection_open_in_partition)(HandlePointer, std::uint16_t, ConnectionCallback, void*, HandlePointer*);
};
static_assert(sizeof(Table) == 32 * sizeof(void*));
static_assert(offsetof(Table, stream_open) == 21 * sizeof(void*) && offsetof(Table, connection_open_in_partition) == 31 * sizeof(void*));

}  // namespace kwik::abi
