#include "api.h"

#include <cstdio>
#include <cstring>
#include <new>

#include "configuration.h"
#include "connection.h"
#include "half_open.h"
#include "library.h"
#include "listener.h"
#include "quic_api.h"
#include "stream.h"
#include "tls.h"
#include "tokens.h"

// The static ngtcp2 archive is not position independent; its only reference that a shared object cannot carry is `stderr`, in a function that dumps a hash table and is never called. The
// linker redirects it here (--wrap=stderr).
extern "C" __attribute__((visibility("hidden"))) FILE* __wrap_stderr;
FILE* __wrap_stderr = nullptr;

namespace kwik {

namespace {

using abi::HandlePointer;
using abi::Status;

struct Registration final : Object, Handle {
    Registration() noexcept : Handle(Kind::registration) {}
};

// The object behind an HQUIC, or nullptr if it is null or of another kind.
template <class T, Handle::Kind kind>
T* as(HandlePointer pointer) noexcept {
    auto* handle = static_cast<Handle*>(pointer);
    return handle != nullptr && handle->kind == kind ? static_cast<T*>(handle) : nullptr;
}
Registration* registration_of(HandlePointer p) noexcept { return as<Registration, Handle::Kind::registration>(p); }
Configuration* configuration_of(HandlePointer p) noexcept { return as<Configuration, Handle::Kind::configuration>(p); }
Listener* listener_of(HandlePointer p) noexcept { return as<Listener, Handle::Kind::listener>(p); }
Connection* connection_of(HandlePointer p) noexcept { return as<Connection, Handle::Kind::connection>(p); }
Stream* stream_of(HandlePointer p) noexcept { return as<Stream, Handle::Kind::stream>(p); }

Status copy_out(const void* value, std::uint32_t size, std::uint32_t* length, void* out) noexcept {
    if (*length < size || out == nullptr) {
        *length = size;
        return abi::buffer_too_small;
    }
    std::memcpy(out, value, size);
    *length = size;
    return abi::success;
}

// -------------------------------------------------------------------------------------------------- handles

void set_context(HandlePointer pointer, void* context) {
    if (pointer != nullptr) static_cast<Handle*>(pointer)->context = context;
}

void* get_context(HandlePointer pointer) { return pointer == nullptr ? nullptr : static_cast<Handle*>(pointer)->context; }

void set_callback_handler(HandlePointer pointer, void* callback, void* context) {
    if (Listener* listener = listener_of(pointer)) listener->set_callback(reinterpret_cast<abi::ListenerCallback>(callback), context);
    else if (Connection* connection = connection_of(pointer)) connection->set_callback(reinterpret_cast<abi::ConnectionCallback>(callback), context);
    else if (Stream* stream = stream_of(pointer)) stream->set_callback(reinterpret_cast<abi::StreamCallback>(callback), context);
}

Status set_global(std::uint32_t param, std::span<const std::uint8_t> value) noexcept {
    switch (param) {
    case abi::param_global_reset_key:
        if (value.size() != Tokens::reset_key_length) return abi::invalid_parameter;
        Tokens::set_reset_key(value.first<Tokens::reset_key_length>());
        return abi::success;
    case abi::param_global_retry_memory: {
        std::uint16_t share;
        if (value.size() != sizeof share) return abi::invalid_parameter;
        std::memcpy(&share, value.data(), sizeof share);
        HalfOpen::set_memory_share(share);
        return abi::success;
    }
    default: return abi::not_supported;
    }
}

Status set_param(HandlePointer pointer, std::uint32_t param, std::uint32_t length, const void* value) {
    if (value == nullptr) return abi::invalid_parameter;
    if (pointer == nullptr) return set_global(param, {static_cast<const std::uint8_t*>(value), length});
    Connection* connection = connection_of(pointer);
    if (connection == nullptr) return abi::not_supported;
    return connection->set_param(param, {static_cast<const std::uint8_t*>(value), length});
}

Status get_global(std::uint32_t param, std::uint32_t* length, void* out) noexcept {
    // The version whose behaviour this library has; .NET wants 2.4.8 at least.
    static constexpr std::uint32_t version[4] = {2, 5, 0, 0};
    static constexpr char hash[64] = "kwik-ngtcp2-" NGTCP2_VERSION;
    static constexpr std::uint32_t provider = abi::provider_openssl;  // .NET then passes portable certificates (PKCS#12, DER).
    switch (param) {
    case abi::param_global_version: return copy_out(version, sizeof version, length, out);
    case abi::param_global_git_hash: return copy_out(hash, sizeof hash, length, out);
    case abi::param_global_tls_provider: return copy_out(&provider, sizeof provider, length, out);
    default: return abi::not_supported;
    }
}

Status get_param(HandlePointer pointer, std::uint32_t param, std::uint32_t* length, void* out) {
    if (length == nullptr) return abi::invalid_parameter;
    if (pointer == nullptr || registration_of(pointer) != nullptr) return get_global(param, length, out);
    if (Connection* connection = connection_of(pointer)) return connection->get_param(param, *length, out);
    if (Stream* stream = stream_of(pointer)) {
        std::uint64_t id;
        if (param != abi::param_stream_id) return abi::not_supported;
        return stream->get_id(id) ? copy_out(&id, sizeof id, length, out) : abi::invalid_state;
    }
    if (Listener* listener = listener_of(pointer)) {
        if (param != abi::param_listener_local_address) return abi::not_supported;
        Address local;
        if (const Status status = listener->local_address(local); abi::failed(status)) return status;
        std::uint8_t shown[abi::address_size];
        local.to_abi(shown);
        return copy_out(shown, sizeof shown, length, out);
    }
    return abi::not_supported;
}

// -------------------------------------------------------------------------------------------------- registration, configuration

Status registration_open(const void*, HandlePointer* out) {
    if (out == nullptr) return abi::invalid_parameter;
    if (Library::running() == nullptr) return abi::out_of_memory;
    auto* registration = new (std::nothrow) Registration;
    if (registration == nullptr) return abi::out_of_memory;
    *out = static_cast<Handle*>(registration);
    return abi::success;
}

void registration_close(HandlePointer pointer) {
    if (Registration* registration = registration_of(pointer)) registration->release();
}

void registration_shutdown(HandlePointer, std::uint32_t, std::uint64_t) {
    // .NET closes each connection itself; there is no list of them here.
}

Status configuration_open(HandlePointer registration, const abi::Buffer* alpn, std::uint32_t alpn_count, const abi::Settings* settings, std::uint32_t settings_size, void* context,
                          HandlePointer* out) {
    if (registration_of(registration) == nullptr || alpn == nullptr || out == nullptr) return abi::invalid_parameter;
    if (settings != nullptr && settings_size < sizeof(abi::Settings)) return abi::invalid_parameter;
    std::vector<std::uint8_t> list;
    if (const Status status = read_alpn_list({alpn, alpn_count}, list); abi::failed(status)) return status;
    auto* configuration = new (std::nothrow) Configuration(std::move(list), TransportSettings::from_abi(settings));
    if (configuration == nullptr) return abi::out_of_memory;
    configuration->context = context;
    *out = static_cast<Handle*>(configuration);
    return abi::success;
}

void configuration_close(HandlePointer pointer) {
    if (Configuration* configuration = configuration_of(pointer)) configuration->release();
}

Status configuration_load_credential(HandlePointer pointer, const abi::CredentialConfig* config) {
    Configuration* configuration = configuration_of(pointer);
    return configuration == nullptr || config == nullptr ? abi::invalid_parameter + 0 : configuration->load_credential(*config);
}

// -------------------------------------------------------------------------------------------------- listener

Status listener_open(HandlePointer registration, abi::ListenerCallback callback, void* context, HandlePointer* out) {
    if (registration_of(registration) == nullptr || callback == nullptr || out == nullptr) return abi::invalid_parameter;
    auto* listener = new (std::nothrow) Listener(*Library::running(), callback, context);
    if (listener == nullptr) return abi::out_of_memory;
    *out = static_cast<Handle*>(listener);
    return abi::success;
}

void listener_close(HandlePointer pointer) {
    if (Listener* listener = listener_of(pointer)) listener->close();
}

Status listener_start(HandlePointer pointer, const abi::Buffer* alpn, std::uint32_t alpn_count, const void* address) {
    Listener* listener = listener_of(pointer);
    if (listener == nullptr || alpn == nullptr) return abi::invalid_parameter;
    return listener->start({alpn, alpn_count}, address);
}

void listener_stop(HandlePointer pointer) {
    if (Listener* listener = listener_of(pointer)) listener->stop();
}

// -------------------------------------------------------------------------------------------------- connection

Status connection_open(HandlePointer registration, abi::ConnectionCallback callback, void* context, HandlePointer* out) {
    if (registration_of(registration) == nullptr || callback == nullptr || out == nullptr) return abi::invalid_parameter;
    Connection* connection = Connection::open(*Library::running(), callback, context);
    if (connection == nullptr) return abi::out_of_memory;
    *out = static_cast<Handle*>(connection);
    return abi::success;
}

Status connection_open_in_partition(HandlePointer registration, std::uint16_t, abi::ConnectionCallback callback, void* context, HandlePointer* out) {
    return connection_open(registration, callback, context, out);
}

void connection_close(HandlePointer pointer) {
    if (Connection* connection = connection_of(pointer)) connection->close();
}

void connection_shutdown(HandlePointer pointer, std::uint32_t flags, std::uint64_t error) {
    if (Connection* connection = connection_of(pointer)) connection->shutdown(flags, error);
}

Status connection_start(HandlePointer pointer, HandlePointer configuration_pointer, std::uint16_t family, const char* server_name, std::uint16_t port) {
    Connection* connection = connection_of(pointer);
    Configuration* configuration = configuration_of(configuration_pointer);
    if (connection == nullptr || configuration == nullptr) return abi::invalid_parameter;
    return connection->start(*configuration, family, server_name, port);
}

Status connection_set_configuration(HandlePointer pointer, HandlePointer configuration_pointer) {
    Connection* connection = connection_of(pointer);
    Configuration* configuration = configuration_of(configuration_pointer);
    if (connection == nullptr || configuration == nullptr) return abi::invalid_parameter;
    return connection->set_configuration(*configuration);
}

Status connection_send_resumption_ticket(HandlePointer, std::uint32_t, std::uint16_t, const std::uint8_t*) { return abi::not_supported; }
Status connection_resumption_ticket_validation_complete(HandlePointer, std::uint8_t) { return abi::not_supported; }

Status connection_certificate_validation_complete(HandlePointer pointer, std::uint8_t result, std::uint32_t alert) {
    Connection* connection = connection_of(pointer);
    return connection == nullptr ? abi::invalid_parameter + 0 : connection->complete_certificate_validation(result != 0, alert);
}

// -------------------------------------------------------------------------------------------------- stream

Status stream_open(HandlePointer pointer, std::uint32_t flags, abi::StreamCallback callback, void* context, HandlePointer* out) {
    Connection* connection = connection_of(pointer);
    if (connection == nullptr || callback == nullptr || out == nullptr) return abi::invalid_parameter;
    if ((flags & ~(abi::open_unidirectional | abi::open_delay_id_updates)) != 0) return abi::invalid_parameter;
    if (const Status status = connection->open_status(); abi::failed(status)) return status;
    Stream* stream = Stream::open(*connection, flags, callback, context);
    if (stream == nullptr) return abi::out_of_memory;
    *out = static_cast<Handle*>(stream);
    return abi::success;
}

void stream_close(HandlePointer pointer) {
    if (Stream* stream = stream_of(pointer)) stream->close();
}

Status stream_start(HandlePointer pointer, std::uint32_t flags) {
    Stream* stream = stream_of(pointer);
    return stream == nullptr ? abi::invalid_parameter + 0 : stream->start(flags);
}

Status stream_shutdown(HandlePointer pointer, std::uint32_t flags, std::uint64_t error) {
    Stream* stream = stream_of(pointer);
    return stream == nullptr ? abi::invalid_parameter + 0 : stream->shutdown(flags, error);
}

Status stream_send(HandlePointer pointer, const abi::Buffer* buffers, std::uint32_t count, std::uint32_t flags, void* context) {
    Stream* stream = stream_of(pointer);
    if (stream == nullptr || (buffers == nullptr && count > 0)) return abi::invalid_parameter;
    return stream->send({buffers, count}, flags, context);
}

void stream_receive_complete(HandlePointer, std::uint64_t) {
    // Belongs to a RECEIVE that was answered with PENDING, which this library does not offer.
}

Status stream_receive_set_enabled(HandlePointer pointer, std::uint8_t enabled) {
    Stream* stream = stream_of(pointer);
    return stream == nullptr ? abi::invalid_parameter + 0 : stream->receive_set_enabled(enabled != 0);
}

Status datagram_send(HandlePointer, const abi::Buffer*, std::uint32_t, std::uint32_t, void*) { return abi::not_supported; }

constexpr abi::Table table = {
    .set_context = set_context,
    .get_context = get_context,
    .set_callback_handler = set_callback_handler,
    .set_param = set_param,
    .get_param = get_param,
    .registration_open = registration_open,
    .registration_close = registration_close,
    .registration_shutdown = registration_shutdown,
    .configuration_open = configuration_open,
    .configuration_close = configuration_close,
    .configuration_load_credential = configuration_load_credential,
    .listener_open = listener_open,
    .listener_close = listener_close,
    .listener_start = listener_start,
    .listener_stop = listener_stop,
    .connection_open = connection_open,
    .connection_close = connection_close,
    .connection_shutdown = connection_shutdown,
    .connection_start = connection_start,
    .connection_set_configuration = connection_set_configuration,
    .connection_send_resumption_ticket = connection_send_resumption_ticket,
    .stream_open = stream_open,
    .stream_close = stream_close,
    .stream_start = stream_start,
    .stream_shutdown = stream_shutdown,
    .stream_send = stream_send,
    .stream_receive_complete = stream_receive_complete,
    .stream_receive_set_enabled = stream_receive_set_enabled,
    .datagram_send = datagram_send,
    .connection_resumption_ticket_validation_complete = connection_resumption_ticket_validation_complete,
    .connection_certificate_validation_complete = connection_certificate_validation_complete,
    .connection_open_in_partition = connection_open_in_partition,
};

}  // namespace

}  // namespace kwik

kwik::abi::Status MsQuicOpenVersion(std::uint32_t version, const void** out) {
    if (out == nullptr) return kwik::abi::invalid_parameter;
    if (version != 2) return kwik::abi::not_supported;
    kwik::Library::open();
    *out = &kwik::table;
    return kwik::abi::success;
}

void MsQuicClose(const void* table) {
    if (table == &kwik::table) kwik::Library::close();
}
