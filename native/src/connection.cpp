#include "connection.h"

#include <netdb.h>

#include <cerrno>
#include <new>

#include "listener.h"
#include "ngtcp2_guard.h"

namespace kwik {

Connection::Connection(Library& library, Worker& worker, bool server) noexcept
    : Handle(Kind::connection), library_(library), worker_(worker), server_(server), half_open_(server), next_id_{server ? 1 : 0, server ? 3 : 2} {}

Connection::~Connection() { release_quic(); }

Connection* Connection::open(Library& library, abi::ConnectionCallback callback, void* context) noexcept {
    Connection* connection = new (std::nothrow) Connection(library, library.next_worker(), false);
    if (connection == nullptr) return nullptr;
    connection->callback_ = callback;
    connection->context = context;
    connection->announced_ = true;
    return connection;
}

abi::Status Connection::start(Configuration& configuration, std::uint16_t family, const char* server_name, std::uint16_t port) noexcept {
    if (server_ || !configuration.credential()) return abi::invalid_state;
    try {
        if (start_called_.exchange(true)) return abi::invalid_state;
        server_name_ = server_name == nullptr ? "" : server_name;
        std::lock_guard lock(shown_mutex_);
        if (remote_.family() == AF_UNSPEC) {
            if (server_name_.empty()) return abi::invalid_parameter;
            addrinfo hints{};
            hints.ai_family = family;
            hints.ai_socktype = SOCK_DGRAM;
            addrinfo* found = nullptr;
            if (getaddrinfo(server_name_.c_str(), nullptr, &hints, &found) != 0) return abi::not_found;
            std::memcpy(static_cast<void*>(&remote_), found->ai_addr, std::min<std::size_t>(found->ai_addrlen, sizeof remote_));
            freeaddrinfo(found);
        }
        if (port != 0) remote_.set_port(port);
    } catch (const std::bad_alloc&) {
        return abi::out_of_memory;
    }
    if (!worker_.post(Ref<Actor>::share(this), {.op = op_start, .subject = Ref<Object>::share(&configuration)})) return abi::out_of_memory;
    return abi::pending;
}

abi::Status Connection::set_configuration(Configuration& configuration) noexcept {
    if (!server_ || !configuration.credential()) return abi::invalid_state;
    if (configured_.exchange(true)) return abi::invalid_state;
    if (!worker_.post(Ref<Actor>::share(this), {.op = op_configure, .subject = Ref<Object>::share(&configuration)})) return abi::out_of_memory;
    return abi::pending;
}

abi::Status Connection::complete_certificate_validation(bool accept, std::uint32_t alert) noexcept {
    return worker_.post(Ref<Actor>::share(this), {.op = op_validated, .flags = accept, .value = alert}) ? abi::pending : abi::out_of_memory;
}

void Connection::shutdown(std::uint32_t flags, std::uint64_t error) noexcept {
    // The first one ends the connection; no other can change that.
    if (!shutdown_called_.exchange(true)) worker_.post(shutdown_place_, Ref<Actor>::share(this), {.op = op_shutdown, .flags = flags, .value = error});
}

void Connection::close() noexcept {
    const bool wait = !Stream::is_reporting() && !worker_.is_current() && !end_reported_.load(std::memory_order_acquire);
    if (!wait) closed_.store(true, std::memory_order_release);
    auto self = Ref<Actor>::share(this);
    if (wait) worker_.post_and_wait(std::move(self), {.op = op_close});
    else worker_.post(close_place_, std::move(self), {.op = op_close});
    closed_.store(true, std::memory_order_release);
    release();
}

void Connection::execute(Command& command) noexcept {
    switch (command.op) {
    case op_start:
        if (state_ == State::opened) begin(static_cast<Configuration&>(*command.subject));
        break;
    case op_configure:
        if (state_ == State::handshaking) configure(static_cast<Configuration&>(*command.subject));
        break;
    case op_validated:
        finish_validation(command.flags != 0, static_cast<std::uint32_t>(command.value));
        break;
    case op_shutdown:
        end(EndCause::shutdown(command.value, (command.flags & abi::connection_silent) != 0));
        break;
    case op_close:
        closed_.store(true, std::memory_order_release);
        end(EndCause::shutdown(0, false));
        break;
    }
}

void Connection::begin(Configuration& configuration) noexcept {
    state_ = State::handshaking;
    self_ = Ref<Connection>::share(this);
    configuration_ = Ref<Configuration>::share(&configuration);
    handshake_deadline_ = worker_.now() + configuration.settings.handshake_timeout;
    if (!(timer_reserved_ = worker_.reserve_timer())) {
        end(EndCause::transport(abi::out_of_memory, transport_internal_error, true));
        return;
    }
    if (const int error = socket_.connect(local_, remote_)) {
        const bool local_fault = error == EADDRINUSE || error == EADDRNOTAVAIL;
        end(EndCause::transport(error == EADDRINUSE ? abi::address_in_use : local_fault ? abi::invalid_address : abi::unreachable, transport_internal_error, true));
        return;
    }
    {
        std::lock_guard lock(shown_mutex_);
        local_ = socket_.local();
        remote_ = remote_.unmapped();
    }
    tls_ = TlsSession::client(configuration.credential(), configuration.alpn_list, server_name_);
    if (!tls_ || !worker_.watch(socket_.fd(), *this) || !make_client(configuration.settings)) {
        end(EndCause::transport(abi::internal_error, transport_internal_error, true));
        return;
    }
    tls_->attach(quic_);
    tls_->capture_secrets(secrets_);
    schedule();
}

void Connection::accept(Library& library, Worker& worker, Ref<Binding> binding, const ngtcp2_pkt_hd& header, const ngtcp2_cid* original,
                        std::span<const std::uint8_t> datagram, const Address& local, const Address& remote) noexcept {
    auto connection = Ref<Connection>::adopt(new (std::nothrow) Connection(library, worker, true));
    if (!connection) return;
    connection->state_ = State::handshaking;
    connection->local_ = local;
    connection->remote_ = remote;
    connection->binding_ = std::move(binding);
    connection->binding_->add_user();
    connection->self_ = connection;
    connection->handshake_deadline_ = worker.now() + TransportSettings().handshake_timeout;
    connection->timer_reserved_ = worker.reserve_timer();
    if (!connection->timer_reserved_ || !connection->make_server(header, original)) {
        connection->end(EndCause::transport(abi::out_of_memory, transport_internal_error, true));
        return;
    }
    connection->receive(datagram, local, remote);
}

void Connection::configure(Configuration& configuration) noexcept {
    if (configuration_) return;
    configuration_ = Ref<Configuration>::share(&configuration);
    handshake_deadline_ = worker_.now() + configuration.settings.handshake_timeout;
    ngtcp2_transport_params params = *ngtcp2_conn_get_local_transport_params(quic_);  // Keeps the ids, which the peer authenticates.
    fill_params(params, configuration.settings);
    tls_ = TlsSession::server(configuration.credential(), configuration.alpn_list);
    if (!tls_ || ngtcp2_conn_set_local_transport_params(quic_, &params) != 0) {
        end(EndCause::transport(abi::internal_error, transport_internal_error, false));
        return;
    }
    tls_->attach(quic_);
    tls_->capture_secrets(secrets_);
    const std::vector<std::uint8_t> hello = std::exchange(hello_, {});
    if (const int rv = on_crypto_data(NGTCP2_ENCRYPTION_LEVEL_INITIAL, 0, hello)) {
        end(cause_of(rv));
        return;
    }
    schedule();
}

void Connection::finish_validation(bool accept, std::uint32_t alert) noexcept {
    if (state_ != State::handshaking || !tls_ || validation_answered_ || !tls_->certificate_pending()) return;
    validation_answered_ = true;
    if (const int rv = tls_->resume_validation(accept, alert)) {
        end(cause_of(rv));
        return;
    }
    // ngtcp2 notices a handshake that completed outside of read_pkt only when it reads the next packet, and not at all if it writes first.
    std::vector<ngtcp2_cid> ids;
    try {
        ids.resize(ngtcp2_conn_get_scid(quic_, nullptr));
    } catch (const std::bad_alloc&) {
        end(EndCause::library_error(NGTCP2_ERR_NOMEM));
        return;
    }
    ngtcp2_conn_get_scid(quic_, ids.data());
    std::uint8_t memory[max_unknown_version_packet];
    receive(write_unknown_version_packet(memory, {ids[0].data, ids[0].datalen}), local_, remote_);
}

abi::Status Connection::indicate(abi::ConnectionEvent& event) noexcept {
    if (!announced_ || closed_.load(std::memory_order_acquire) || callback_ == nullptr) return abi::success;
    return callback_(static_cast<Handle*>(this), context, &event);
}

EndCause Connection::cause_of(int liberr) const noexcept {
    if (handshake_too_long_) return EndCause::library_error(NGTCP2_ERR_CRYPTO_BUFFER_EXCEEDED);
    return liberr == NGTCP2_ERR_CRYPTO ? EndCause::tls_alert(ngtcp2_conn_get_tls_alert(quic_)) : EndCause::library_error(liberr);
}

void Connection::end(const EndCause& cause) noexcept {
    if (state_ == State::ended) return;
    const auto keep = Ref<Connection>::share(this);
    const bool was_connected = state_ == State::connected;
    state_ = State::ended;
    half_open_.end();
    cause_ = cause;
    send_status_.store(cause.by_app && !cause.remote ? abi::invalid_state : abi::aborted, std::memory_order_release);
    open_status_.store(cause.remote ? abi::aborted : abi::invalid_state, std::memory_order_release);
    if (quic_ != nullptr && !cause.remote && !cause.silent) {
        // Before the handshake is over only a transport error can be sent; user_canceled tells the peer that it was a decision.
        if (cause.by_app && !was_connected) write_close(false, transport_user_canceled);
        else write_close(cause.by_app, cause.error);
    }
    abi::ConnectionEvent event{};
    if (cause.remote && cause.by_app) {
        event.type = abi::ConnectionEvent::shutdown_by_peer;
        event.peer.error = cause.error;
        (void)indicate(event);
    } else if (!cause.by_app) {
        event.type = abi::ConnectionEvent::shutdown_by_transport;
        event.transport.status = cause.status;
        event.transport.error = cause.error;
        (void)indicate(event);
    }
    end_streams();
    event = {};
    event.type = abi::ConnectionEvent::shutdown_complete;
    event.complete.bits = static_cast<std::uint8_t>((was_connected ? 1 : 0) | (cause.remote ? 2 : 0));
    (void)indicate(event);
    // Only now: a close from another thread that sees this does not wait, and so must not find the callback still running.
    end_reported_.store(true, std::memory_order_release);
    release_quic();
    if (!self_) return;
    // A server's attempt that came to nothing makes room for the client's next packet at once.
    const bool nothing_to_answer = server_ && !announced_ && close_packet_.empty();
    if (nothing_to_answer || !worker_.set_timer(*this, worker_.now() + repeat_close_after)) leave();
}

void Connection::end_streams() noexcept {
    // Callbacks may close handles, and so empty the containers that they are called from.
    const auto streams = std::exchange(streams_, {});
    for (const auto& [id, stream] : streams) stream->on_connection_ended(cause_);
    for (auto& waiting : waiting_) {
        auto streams_of_kind = std::exchange(waiting, {});
        for (; !streams_of_kind.empty(); streams_of_kind.pop_front()) streams_of_kind.front()->on_connection_ended(cause_);
    }
    touched_ = {};
    to_send_ = {};
    to_end_ = {};
}

void Connection::release_quic() noexcept {
    if (ngtcp2_conn* quic = std::exchange(quic_, nullptr)) (void)Ngtcp2Guard::run([quic] { return ngtcp2_conn_del(quic), 0; }, NGTCP2_ERR_INTERNAL);
    tls_.reset();
    hello_ = {};
    unsent_.clear();
}

void Connection::leave() noexcept {
    worker_.cancel_timer(*this);
    if (std::exchange(timer_reserved_, false)) worker_.drop_timer();
    for (const ngtcp2_cid& id : ids_) worker_.connections().erase({id.data, id.datalen});
    ids_.clear();
    if (socket_.fd() >= 0) {
        worker_.unwatch(socket_.fd());
        socket_.close();
    }
    if (binding_) std::exchange(binding_, {})->drop_user();
    worker_.retire(std::move(self_));
}

abi::Status Connection::set_param(std::uint32_t param, std::span<const std::uint8_t> value) noexcept {
    switch (param) {
    case abi::param_conn_local_address:
    case abi::param_conn_remote_address: {
        if (value.size() < abi::address_size) return abi::invalid_parameter;
        if (server_ || start_called_.load()) return abi::invalid_state;
        std::lock_guard lock(shown_mutex_);
        (param == abi::param_conn_local_address ? local_ : remote_) = Address::from_abi(value.data());
        return abi::success;
    }
    case abi::param_conn_tls_secrets:
        if (value.size() != sizeof(TlsSecrets)) return abi::invalid_parameter;
        // Before the handshake: .NET sets it right after ConnectionOpen, or inside NEW_CONNECTION.
        secrets_ = reinterpret_cast<TlsSecrets*>(const_cast<std::uint8_t*>(value.data()));
        return abi::success;
    default:
        return abi::not_supported;
    }
}

abi::Status Connection::get_param(std::uint32_t param, std::uint32_t& length, void* out) noexcept {
    const auto copy = [&](const void* value, std::uint32_t size) {
        if (length < size) {
            length = size;
            return abi::buffer_too_small + 0;
        }
        std::memcpy(out, value, size);
        length = size;
        return abi::success + 0;
    };
    std::lock_guard lock(shown_mutex_);
    switch (param) {
    case abi::param_conn_local_address:
    case abi::param_conn_remote_address: {
        const Address& address = param == abi::param_conn_local_address ? local_ : remote_;
        if (address.family() == AF_UNSPEC) return abi::invalid_state;
        std::uint8_t shown[abi::address_size];
        address.to_abi(shown);
        return copy(shown, sizeof shown);
    }
    case abi::param_tls_handshake_info: {
        // Callers built against MsQuic before 2.5 pass 32 bytes and get as many.
        constexpr std::uint32_t oldest = 32;
        if (!handshake_info_known_) return abi::invalid_state;
        return copy(&handshake_info_, length >= oldest && length < sizeof handshake_info_ ? oldest : static_cast<std::uint32_t>(sizeof handshake_info_));
    }
    default:
        return abi::not_supported;
    }
}

}  // namespace kwik
