// Making ngtcp2's connection, and what ngtcp2 calls back. Nothing here runs application code.

#include <cstring>
#include <new>

#include "connection.h"
#include "ngtcp2_guard.h"
#include "ngtcp2_internal.h"
#include "random.h"
#include "tokens.h"

namespace kwik {

namespace {
constexpr std::size_t client_dcid_length = 16;  // Of the random id that a client invents for the server.
constexpr std::uint64_t spare_ids = 4;          // Of the peer, as many as MsQuic keeps: each change of address takes a fresh one.

// ngtcp2's decrypt callback has no user data.
thread_local Connection* reading = nullptr;
}  // namespace

// The C callbacks of ngtcp2; user_data is the Connection, stream_user_data the Stream or nullptr (a start that was cancelled).
struct Quic {
    static Connection& of(void* user_data) { return *static_cast<Connection*>(user_data); }
    static Stream* stream(void* stream_user_data) { return static_cast<Stream*>(stream_user_data); }

    static void random(std::uint8_t* out, std::size_t length, const ngtcp2_rand_ctx*) { fill_random(out, length); }

    static int decrypt(std::uint8_t* out, const ngtcp2_crypto_aead* aead, const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* ciphertext, std::size_t length,
                       const std::uint8_t* nonce, std::size_t nonce_length, const std::uint8_t* header, std::size_t header_length) {
        const int rv = ngtcp2_crypto_decrypt_cb(out, aead, context, ciphertext, length, nonce, nonce_length, header, header_length);
        // Short header: only 1-RTT packets carry what we look for.
        if (rv == 0 && reading != nullptr && header_length > 0 && (header[0] & 0x80) == 0) {
            reading->payload_ = {out, length - aead->max_overhead};
            (void)scan_frames(reading->payload_, *reading);  // ngtcp2 reports what is malformed.
        }
        return rv;
    }

    static int crypto_data(ngtcp2_conn*, ngtcp2_encryption_level level, std::uint64_t offset, const std::uint8_t* data, std::size_t length, void* user_data) {
        return of(user_data).on_crypto_data(level, offset, {data, length});
    }

    static int handshake_completed(ngtcp2_conn*, void* user_data) {
        of(user_data).handshake_done_ = true;
        return 0;
    }

    static int new_connection_id(ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token, std::size_t, void* user_data) {
        Connection& connection = of(user_data);
        connection.worker_.connections().generate(*id);
        if (!connection.server_) {
            // No client of ours ever sends a reset; by the key of the resets a listener of this process could be made to give the token away (RFC 9000, 21.11).
            fill_random(token, NGTCP2_STATELESS_RESET_TOKENLEN);
            return 0;
        }
        std::uint8_t reset_token[NGTCP2_STATELESS_RESET_TOKENLEN];
        if (!Tokens::make_reset_token(*id, reset_token)) return NGTCP2_ERR_CALLBACK_FAILURE;
        std::memcpy(token, reset_token, sizeof reset_token);
        try {
            connection.ids_.push_back(*id);
        } catch (const std::bad_alloc&) {
            return connection.without_memory();
        }
        return connection.worker_.connections().insert({id->data, id->datalen}, &connection) ? 0 : connection.without_memory();
    }

    static int remove_connection_id(ngtcp2_conn*, const ngtcp2_cid* id, void* user_data) {
        Connection& connection = of(user_data);
        if (!connection.server_) return 0;
        connection.worker_.connections().erase({id->data, id->datalen});
        std::erase_if(connection.ids_, [id](const ngtcp2_cid& other) { return ngtcp2_cid_eq(id, &other) != 0; });
        return 0;
    }

    static int stream_open(ngtcp2_conn*, std::int64_t id, void* user_data) { return of(user_data).on_stream_open(id); }

    static int stream_data(ngtcp2_conn* quic, std::uint32_t flags, std::int64_t, std::uint64_t, const std::uint8_t* data, std::size_t length, void* user_data, void* stream_user_data) {
        Stream* s = stream(stream_user_data);
        if (s == nullptr) {
            ngtcp2_conn_extend_max_offset(quic, length);
            return 0;
        }
        return s->on_data({data, length}, (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0) ? 0 : of(user_data).without_memory();
    }

    static int stream_acknowledged(ngtcp2_conn*, std::int64_t, std::uint64_t offset, std::uint64_t length, void* user_data, void* stream_user_data) {
        of(user_data).progress_at_ = of(user_data).worker_.now();
        if (Stream* s = stream(stream_user_data)) s->on_acknowledged(offset + length);
        return 0;
    }

    static int stream_close(ngtcp2_conn*, std::uint32_t, std::int64_t, std::uint64_t, void*, void* stream_user_data) {
        if (Stream* s = stream(stream_user_data)) s->on_quic_closed();
        return 0;
    }

    static int stream_reset(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t error, void*, void* stream_user_data) {
        if (Stream* s = stream(stream_user_data)) s->on_reset(error);
        return 0;
    }

    static int stream_unblocked(ngtcp2_conn*, std::int64_t, std::uint64_t, void*, void* stream_user_data) {
        if (Stream* s = stream(stream_user_data)) s->on_unblocked();
        return 0;
    }

    static int path_validated(ngtcp2_conn*, std::uint32_t, const ngtcp2_path* path, const ngtcp2_path*, ngtcp2_path_validation_result result, void* user_data) {
        // A client behind a NAT may come from another port than before.
        Connection& connection = of(user_data);
        if (!connection.server_ || result != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS || path->remote.addrlen > sizeof(Address)) return 0;
        Address remote;
        std::memcpy(static_cast<void*>(&remote), path->remote.addr, path->remote.addrlen);
        if (remote == connection.remote_) return 0;
        std::lock_guard lock(connection.shown_mutex_);
        connection.remote_ = remote;
        connection.peer_moved_ = true;
        return 0;
    }

    static int stateless_reset(ngtcp2_conn*, const ngtcp2_pkt_stateless_reset*, void* user_data) {
        of(user_data).reset_received_ = true;
        return 0;
    }

    static int more_streams(ngtcp2_conn*, std::uint64_t, void* user_data) {
        of(user_data).streams_available_due_ = true;
        return 0;
    }
};

void Connection::fill_callbacks(ngtcp2_callbacks& c) noexcept {
    c = {};
    c.client_initial = ngtcp2_crypto_client_initial_cb;
    c.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
    c.recv_crypto_data = Quic::crypto_data;
    c.handshake_completed = Quic::handshake_completed;
    c.encrypt = ngtcp2_crypto_encrypt_cb;
    c.decrypt = Quic::decrypt;
    c.hp_mask = ngtcp2_crypto_hp_mask_cb;
    c.recv_stream_data = Quic::stream_data;
    c.acked_stream_data_offset = Quic::stream_acknowledged;
    c.stream_open = Quic::stream_open;
    c.stream_close = Quic::stream_close;
    c.recv_retry = ngtcp2_crypto_recv_retry_cb;
    c.extend_max_local_streams_bidi = Quic::more_streams;
    c.extend_max_local_streams_uni = Quic::more_streams;
    c.rand = Quic::random;
    c.get_new_connection_id = Quic::new_connection_id;
    c.remove_connection_id = Quic::remove_connection_id;
    c.recv_stateless_reset = Quic::stateless_reset;
    c.update_key = ngtcp2_crypto_update_key_cb;
    c.path_validation = path_validation_callback<Quic::path_validated>;
    c.stream_reset = Quic::stream_reset;
    c.extend_max_stream_data = Quic::stream_unblocked;
    c.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    c.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    c.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    c.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
}

void Connection::fill_params(ngtcp2_transport_params& params, const TransportSettings& settings) noexcept {
    params.initial_max_data = settings.connection_window;
    params.initial_max_stream_data_bidi_local = settings.stream_window_bidi_local;
    params.initial_max_stream_data_bidi_remote = settings.stream_window_bidi_remote;
    params.initial_max_stream_data_uni = settings.stream_window_unidi;
    params.initial_max_streams_bidi = settings.peer_bidi_streams;
    params.initial_max_streams_uni = settings.peer_unidi_streams;
    params.max_idle_timeout = settings.idle_timeout;
    params.active_connection_id_limit = spare_ids;
}

void Connection::fill_settings(ngtcp2_settings& settings) noexcept {
    ngtcp2_settings_default(&settings);
    settings.initial_ts = worker_.now();
    settings.handshake_timeout = UINT64_MAX;  // Ours: a server learns it only with its configuration.
    settings.max_window = largest_window;
    // ngtcp2 0.12.1 must not grow the windows of streams itself: when MAX_STREAM_DATA does not fit the packet, it has already doubled the window, sends the frame later, and forgets that it
    // promised as much, so that a peer which uses the promise is accused of a flow control error. Stream::credit grows them instead.
    settings.max_stream_window = 0;
}

ngtcp2_path Connection::path() noexcept {
    return {.local = {&local_.base, local_.length()}, .remote = {&remote_.base, remote_.length()}, .user_data = nullptr};
}

bool Connection::make_client(const TransportSettings& transport) noexcept {
    ngtcp2_callbacks callbacks;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    fill_callbacks(callbacks);
    fill_settings(settings);
    ngtcp2_transport_params_default(&params);
    fill_params(params, transport);
    ngtcp2_cid source, destination;
    worker_.connections().generate(source);
    destination.datalen = client_dcid_length;
    fill_random(destination.data, destination.datalen, GNUTLS_RND_RANDOM);
    const ngtcp2_path initial = path();
    // A failure leaves a pointer to what ngtcp2 freed.
    ngtcp2_conn* made;
    if (ngtcp2_conn_client_new(&made, &destination, &source, &initial, NGTCP2_PROTO_VER_V1, &callbacks, &settings, &params, memory_.functions(), this) != 0) return false;
    quic_ = made;
    return true;
}

bool Connection::make_server(const ngtcp2_pkt_hd& header, const ngtcp2_cid* original) noexcept {
    ngtcp2_callbacks callbacks;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    fill_callbacks(callbacks);
    fill_settings(settings);
    ngtcp2_transport_params_default(&params);
    fill_params(params, TransportSettings());
    set_original_dcid(params, original != nullptr ? *original : header.dcid);
    if (original != nullptr) {
        params.retry_scid = header.dcid;
        params.retry_scid_present = 1;
        set_token(settings, token_of(header), NGTCP2_TOKEN_TYPE_RETRY);
    }
    ngtcp2_cid source;
    worker_.connections().generate(source);
    params.stateless_reset_token_present = 1;
    if (!Tokens::make_reset_token(source, params.stateless_reset_token)) return false;
    try {
        ids_ = {source, header.dcid};
    } catch (const std::bad_alloc&) {
        return false;
    }
    for (const ngtcp2_cid& id : ids_) {
        if (!worker_.connections().insert({id.data, id.datalen}, this)) return false;
    }
    const ngtcp2_path initial = path();
    ngtcp2_conn* made;  // As above.
    if (ngtcp2_conn_server_new(&made, &header.scid, &source, &initial, header.version, &callbacks, &settings, &params, memory_.functions(), this) != 0) return false;
    quic_ = made;
    return true;
}

void Connection::receive(std::span<const std::uint8_t> datagram, const Address& local, const Address& remote) noexcept {
    if (state_ == State::ended) {
        answer_straggler(local, remote);
        return;
    }
    if (quic_ == nullptr) return;
    Address from = remote, to = local;
    const ngtcp2_path path{.local = {&to.base, to.length()}, .remote = {&from.base, from.length()}, .user_data = nullptr};
    const ngtcp2_pkt_info info{};
    reading = this;
    const auto read = [&] { return ngtcp2_conn_read_pkt(quic_, &path, &info, datagram.data(), datagram.size(), worker_.now()); };
    const int rv = Ngtcp2Guard::run(read, NGTCP2_ERR_INTERNAL);
    reading = nullptr;
    for (const StopSending& stop : stops_) {
        if (const auto it = streams_.find(stop.stream); it != streams_.end()) it->second->on_stop_sending(stop.error);
    }
    stops_.clear();
    for (const std::int64_t id : fins_) {
        if (const auto it = streams_.find(id); it != streams_.end()) it->second->on_fin_seen();
    }
    fins_.clear();
    early_resets_.clear();
    switch (rv) {
    case 0:
        schedule();
        break;
    case NGTCP2_ERR_CLOSING:
        break;
    case NGTCP2_ERR_DRAINING: {
        // What came before the close is delivered before it.
        const auto keep = Ref<Connection>::share(this);
        deliver();
        if (state_ == State::ended) break;
        if (reset_received_) {
            end(EndCause::stateless_reset());
            break;
        }
        const ngtcp2_ccerr error = close_error_of(quic_);
        end(error.type == NGTCP2_CCERR_TYPE_APPLICATION ? EndCause::peer_application(error.error_code) : EndCause::peer_transport(error.error_code));
        break;
    }
    case NGTCP2_ERR_RETRY: {
        // A ClientHello of several packets that came in another order: only for an address that is proved may we keep what came first.
        ngtcp2_pkt_hd header;
        if (ngtcp2_accept(&header, datagram.data(), datagram.size()) == 0) binding_->retry(worker_, header, local, remote);
        end(cause_of(rv));
        break;
    }
    default:
        end(is_out_of_memory() ? EndCause::library_error(NGTCP2_ERR_NOMEM) : cause_of(rv));
        break;
    }
}

int Connection::without_memory() noexcept {
    out_of_memory_ = true;
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

// ngtcp2 makes an internal error of what this callback says, so cause_of says what it was.
int Connection::refuse_handshake() noexcept {
    handshake_too_long_ = true;
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

int Connection::on_crypto_data(ngtcp2_encryption_level level, std::uint64_t offset, std::span<const std::uint8_t> bytes) noexcept {
    // Nobody would read what follows the handshake (session tickets), so nothing may store it.
    if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT) return 0;
    const auto pass_on = [&] { return ngtcp2_crypto_recv_crypto_data_cb(quic_, level, offset, bytes.data(), bytes.size(), this); };
    if (offset + bytes.size() > max_handshake) return refuse_handshake();
    if (tls_) return Ngtcp2Guard::run(pass_on, NGTCP2_ERR_CALLBACK_FAILURE);
    try {
        if (hello_.size() + bytes.size() > max_client_hello) return refuse_handshake();
        hello_.insert(hello_.end(), bytes.begin(), bytes.end());
    } catch (const std::bad_alloc&) {
        return NGTCP2_ERR_NOMEM;
    }
    return 0;
}

int Connection::on_stream_open(std::int64_t id) noexcept {
    auto stream = Ref<Stream>::adopt(Stream::accept(*this, id));
    if (!stream) return without_memory();
    Stream* s = stream.get();
    try {
        streams_.emplace(id, std::move(stream));
    } catch (const std::bad_alloc&) {
        return without_memory();
    }
    if (ngtcp2_conn_set_stream_user_data(quic_, id, s) != 0) return NGTCP2_ERR_CALLBACK_FAILURE;
    if (const auto it = early_resets_.find(id); it != early_resets_.end()) s->on_early_reset(it->second);
    touch(*s);
    return 0;
}

void Connection::stop_sending(std::int64_t stream, std::uint64_t error) noexcept {
    try { stops_.push_back({stream, error}); } catch (const std::bad_alloc&) { out_of_memory_ = true; }
}

void Connection::stream_fin(std::int64_t stream) noexcept {
    try { fins_.push_back(stream); } catch (const std::bad_alloc&) { out_of_memory_ = true; }
}

void Connection::reset_stream(std::int64_t stream, std::uint64_t error, std::uint64_t final_size, std::size_t offset, std::size_t length) noexcept {
    if (reset_opens_stream) return;
    // ngtcp2 0.12 makes no stream for a RESET_STREAM that comes first, so the application would never see it and a bidirectional one could not be answered. Shown as an empty end it makes one.
    const bool ours = (stream & 1) == (server_ ? 1 : 0);
    if (ours || streams_.count(stream) != 0 || ngtcp2_conn_find_stream(quic_, stream) != nullptr) return;
    try {
        early_resets_.emplace(stream, error);
    } catch (const std::bad_alloc&) {
        out_of_memory_ = true;
        return;
    }
    write_fin_over_reset(payload_.subspan(offset, length), stream, final_size);
}

}  // namespace kwik
