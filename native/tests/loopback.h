// An application of the ABI for tests: handles that record their events, and waits for them. Uses nothing of the library but MsQuicOpenVersion and MsQuicClose.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "abi.h"
#include "api.h"
#include "pki.h"

namespace kwik::test {

// Every wait of a test ends; this is far beyond what any of them needs.
inline constexpr std::chrono::seconds patience{20};

// State that callbacks change and tests wait for.
class Watched {
public:
    template <class Predicate>
    [[nodiscard]] bool until(Predicate predicate) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, patience, predicate);
    }
    std::mutex mutex;
    std::condition_variable changed;
};

struct Api {
    Api() {
        const void* out = nullptr;
        if (MsQuicOpenVersion(2, &out) != abi::success) throw std::runtime_error{"MsQuicOpenVersion"};
        table = static_cast<const abi::Table*>(out);
        if (table->registration_open(nullptr, &registration) != abi::success) throw std::runtime_error{"RegistrationOpen"};
    }
    ~Api() {
        table->registration_close(registration);
        MsQuicClose(table);
    }
    Api(const Api&) = delete;
    Api& operator=(const Api&) = delete;
    const abi::Table* operator->() const { return table; }
    const abi::Table* table = nullptr;
    abi::HandlePointer registration = nullptr;
};

struct StreamRecord : Watched {
    explicit StreamRecord(Api& a) : api(a) {}
    ~StreamRecord() { close(); }

    void open(abi::HandlePointer connection, bool unidirectional) {
        ASSERT_EQ(api->stream_open(connection, unidirectional ? abi::open_unidirectional : 0u, callback, this, &handle), abi::success);
    }
    abi::Status start() { return api->stream_start(handle, abi::start_shutdown_on_fail | abi::start_indicate_accept); }
    // The bytes must stay as they are until SEND_COMPLETE.
    abi::Status send(std::string& bytes, bool fin) {
        const abi::Buffer buffer{static_cast<std::uint32_t>(bytes.size()), reinterpret_cast<std::uint8_t*>(bytes.data())};
        return api->stream_send(handle, &buffer, 1, fin ? abi::send_fin : 0u, this);
    }
    void close() {
        if (handle != nullptr) api->stream_close(std::exchange(handle, nullptr));
        std::lock_guard lock(mutex);
        closed = true;
    }
    bool seen(abi::StreamEvent::Type type) const { return (seen_bits >> type & 1) != 0; }  // Under the mutex, or in until().
    [[nodiscard]] bool wait(abi::StreamEvent::Type type) {
        return until([&] { return seen(type); });
    }

    static abi::Status callback(void*, void* context, abi::StreamEvent* event) {
        auto& self = *static_cast<StreamRecord*>(context);
        const abi::Status status = self.record(*event);
        self.then(*event);
        return status;
    }
    abi::Status record(abi::StreamEvent& event) {
        std::lock_guard lock(mutex);
        EXPECT_FALSE(closed) << "callback after StreamClose";
        seen_bits |= 1u << event.type;
        abi::Status status = abi::success;
        switch (event.type) {
        case abi::StreamEvent::start_complete: started = event.started; break;
        case abi::StreamEvent::receive:
            if (limit < event.received.total_length) event.received.total_length = limit;
            for (std::uint64_t left = event.received.total_length, i = 0; left > 0; ++i) {
                const abi::Buffer& buffer = event.received.buffers[i];
                const auto part = std::min<std::uint64_t>(left, buffer.length);
                received.append(reinterpret_cast<char*>(buffer.data), part);
                left -= part;
            }
            EXPECT_EQ(event.received.offset + event.received.total_length, received.size());
            status = when_partial;
            ++receives;
            break;
        case abi::StreamEvent::send_complete: ++(event.sent.canceled ? canceled_sends : completed_sends); break;
        case abi::StreamEvent::peer_send_aborted:
        case abi::StreamEvent::peer_receive_aborted: (event.type == abi::StreamEvent::peer_send_aborted ? send_error : receive_error) = event.aborted.error; break;
        case abi::StreamEvent::send_shutdown_complete: graceful = event.send_shutdown.graceful; break;
        case abi::StreamEvent::shutdown_complete: ended = event.complete; break;
        default: break;
        }
        changed.notify_all();
        return status;
    }

    Api& api;
    abi::HandlePointer handle = nullptr;
    bool closed = false;
    unsigned seen_bits = 0;
    std::string received;
    int receives = 0;
    std::uint64_t limit = UINT64_MAX;        // Bytes taken per RECEIVE ...
    abi::Status when_partial = abi::success; // ... and the answer to it.
    std::function<void(const abi::StreamEvent&)> then = [](const abi::StreamEvent&) {};  // Still in the callback, without the mutex. Set before the start.
    int completed_sends = 0, canceled_sends = 0;
    std::uint64_t send_error = 0, receive_error = 0;
    std::uint8_t graceful = 0;
    decltype(abi::StreamEvent::started) started{};
    decltype(abi::StreamEvent::complete) ended{};
};

struct ConnectionRecord : Watched {
    explicit ConnectionRecord(Api& a) : api(a) {}
    ~ConnectionRecord() { close(); }

    void close() {
        if (handle != nullptr) api->connection_close(std::exchange(handle, nullptr));
        std::lock_guard lock(mutex);
        closed = true;
    }
    bool seen(abi::ConnectionEvent::Type type) const { return (seen_bits >> type & 1) != 0; }
    [[nodiscard]] bool wait(abi::ConnectionEvent::Type type) {
        return until([&] { return seen(type); });
    }
    // The next stream that the peer opened.
    StreamRecord* accept() {
        if (!until([&] { return accepted < streams.size(); })) throw std::runtime_error{"no stream"};
        std::lock_guard lock(mutex);
        return streams[accepted++].get();
    }

    static abi::Status callback(void*, void* context, abi::ConnectionEvent* event) { return static_cast<ConnectionRecord*>(context)->record(*event); }
    abi::Status record(abi::ConnectionEvent& event) {
        std::lock_guard lock(mutex);
        EXPECT_FALSE(closed) << "callback after ConnectionClose";
        seen_bits |= 1u << event.type;
        abi::Status status = abi::success;
        switch (event.type) {
        case abi::ConnectionEvent::connected: alpn.assign(reinterpret_cast<const char*>(event.ready.alpn), event.ready.alpn_length); break;
        case abi::ConnectionEvent::shutdown_by_transport: transport = event.transport; break;
        case abi::ConnectionEvent::shutdown_by_peer: peer_error = event.peer.error; break;
        case abi::ConnectionEvent::streams_available: available = event.available; break;
        case abi::ConnectionEvent::peer_certificate_received:
            certificate_length = event.certificate.certificate == nullptr ? 0 : event.certificate.certificate->length;
            status = certificate_answer;
            break;
        case abi::ConnectionEvent::peer_stream_started: {
            auto stream = std::make_unique<StreamRecord>(api);
            prepare(*stream);
            stream->handle = event.started.stream;
            api->set_callback_handler(event.started.stream, reinterpret_cast<void*>(&StreamRecord::callback), stream.get());
            if (delays_credit) event.started.flags |= abi::open_delay_id_updates;
            streams.push_back(std::move(stream));
            break;
        }
        default: break;
        }
        changed.notify_all();
        return status;
    }

    Api& api;
    abi::HandlePointer handle = nullptr;
    bool closed = false;
    unsigned seen_bits = 0;
    std::string alpn;
    std::uint64_t peer_error = 0;
    std::uint32_t certificate_length = 0;
    abi::Status certificate_answer = abi::success;
    decltype(abi::ConnectionEvent::transport) transport{};
    decltype(abi::ConnectionEvent::available) available{};
    std::function<void(StreamRecord&)> prepare = [](StreamRecord&) {};
    bool delays_credit = true;  // A stream of the peer's counts until it is closed.
    std::deque<std::unique_ptr<StreamRecord>> streams;
    std::size_t accepted = 0;
};

inline abi::Buffer buffer_of(const std::string& text) { return {static_cast<std::uint32_t>(text.size()), reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()))}; }

struct Limits {
    std::uint16_t bidi = 10, unidi = 10;
    std::uint64_t idle_ms = 10'000;
    std::uint32_t connection_window = 0, stream_window = 0;  // Of bytes that the peer sends, the latter on bidirectional streams that it opens; 0 is the default.
};

inline abi::HandlePointer open_configuration(Api& api, const std::string& alpn, const Limits& limits, const Bytes* store) {
    abi::Settings settings{};
    settings.is_set = 1u << abi::Settings::idle_timeout | 1u << abi::Settings::peer_bidi | 1u << abi::Settings::peer_unidi;
    settings.idle_timeout_ms = limits.idle_ms;
    settings.peer_bidi_streams = limits.bidi;
    settings.peer_unidi_streams = limits.unidi;
    if (limits.connection_window > 0) settings.is_set |= 1ull << abi::Settings::conn_flow_control_window;
    if (limits.stream_window > 0) settings.is_set |= 1ull << abi::Settings::stream_window_bidi_remote;
    settings.conn_flow_control_window_bytes = limits.connection_window;
    settings.stream_window_bidi_remote_bytes = limits.stream_window;
    const abi::Buffer name = buffer_of(alpn);
    abi::HandlePointer configuration = nullptr;
    EXPECT_EQ(api->configuration_open(api.registration, &name, 1, &settings, sizeof settings, nullptr, &configuration), abi::success);
    abi::CertificatePkcs12 pkcs12{store == nullptr ? nullptr : store->data(), store == nullptr ? 0u : static_cast<std::uint32_t>(store->size()), nullptr};
    abi::CredentialConfig credential{};
    credential.type = store == nullptr ? abi::credential_none : abi::credential_pkcs12;
    credential.flags = store == nullptr ? 0x4015u : 0x4000u;
    if (store != nullptr) credential.pkcs12 = &pkcs12;
    EXPECT_EQ(api->configuration_load_credential(configuration, &credential), abi::success);
    return configuration;
}

inline sockaddr_in6 loopback_address(std::uint16_t port, bool v6 = false) {
    sockaddr_in6 a{};
    if (v6) {
        a.sin6_family = AF_INET6;
        a.sin6_addr = in6addr_loopback;
    } else {
        reinterpret_cast<sockaddr_in&>(a).sin_family = AF_INET;
        reinterpret_cast<sockaddr_in&>(a).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    a.sin6_port = htons(port);
    return a;
}

// A listener that answers every connection with its configuration.
struct Server : Watched {
    Server(Api& a, const std::string& alpn = "kwik", const Limits& limits = {}, const sockaddr_in6& address = loopback_address(0)) : api(a) {
        const Identity identity = make_identity("loopback");
        const Bytes store = make_store({identity.key}, {identity.certificate});
        configuration = open_configuration(api, alpn, limits, &store);
        EXPECT_EQ(api->listener_open(api.registration, callback, this, &handle), abi::success);
        const abi::Buffer name = buffer_of(alpn);
        start_status = api->listener_start(handle, &name, 1, &address);
        sockaddr_in6 bound{};
        std::uint32_t length = abi::address_size;
        if (start_status == abi::success) {
            EXPECT_EQ(api->get_param(handle, abi::param_listener_local_address, &length, &bound), abi::success);
        }
        port = ntohs(bound.sin6_port);
    }
    ~Server() {
        api->listener_close(handle);
        connections.clear();
        api->configuration_close(configuration);
    }
    ConnectionRecord* accept() {
        if (!until([&] { return accepted < connections.size(); })) throw std::runtime_error{"no connection"};
        std::lock_guard lock(mutex);
        return connections[accepted++].get();
    }
    static abi::Status callback(void*, void* context, abi::ListenerEvent* event) {
        auto& self = *static_cast<Server*>(context);
        std::lock_guard lock(self.mutex);
        abi::Status status = abi::success;
        if (event->type == abi::ListenerEvent::stop_complete) {
            self.stopped = true;
        } else if (self.refuse) {
            status = abi::connection_refused;
        } else {
            auto connection = std::make_unique<ConnectionRecord>(self.api);
            connection->prepare = self.prepare;
            connection->delays_credit = self.delays_credit;
            connection->handle = event->fresh.connection;
            self.server_name.assign(event->fresh.info->server_name == nullptr ? "" : event->fresh.info->server_name, event->fresh.info->server_name_length);
            self.api->set_callback_handler(event->fresh.connection, reinterpret_cast<void*>(&ConnectionRecord::callback), connection.get());
            EXPECT_EQ(self.api->connection_set_configuration(event->fresh.connection, self.configuration), abi::pending);
            self.connections.push_back(std::move(connection));
        }
        self.changed.notify_all();
        return status;
    }

    Api& api;
    abi::HandlePointer handle = nullptr;
    abi::HandlePointer configuration = nullptr;
    abi::Status start_status = abi::success;
    std::uint16_t port = 0;
    bool refuse = false, stopped = false;
    std::string server_name;
    std::function<void(StreamRecord&)> prepare = [](StreamRecord&) {};
    bool delays_credit = true;
    std::deque<std::unique_ptr<ConnectionRecord>> connections;
    std::size_t accepted = 0;
};

struct Client : ConnectionRecord {
    Client(Api& a, const std::string& alpn = "kwik", const Limits& limits = {}) : ConnectionRecord(a) {
        configuration = open_configuration(a, alpn, limits, nullptr);
        EXPECT_EQ(api->connection_open(api.registration, callback, static_cast<ConnectionRecord*>(this), &handle), abi::success);
    }
    ~Client() {
        close();
        api->configuration_close(configuration);
    }
    void start(std::uint16_t port, bool v6 = false) {
        const sockaddr_in6 remote = loopback_address(port, v6);
        EXPECT_EQ(api->set_param(handle, abi::param_conn_remote_address, abi::address_size, &remote), abi::success);
        EXPECT_EQ(api->connection_start(handle, configuration, v6 ? AF_INET6 : AF_INET, "localhost", port), abi::pending);
    }
    void connect(std::uint16_t port, bool v6 = false) {
        start(port, v6);
        ASSERT_TRUE(wait(abi::ConnectionEvent::connected)) << "status " << transport.status << " error " << transport.error;
    }
    abi::HandlePointer configuration = nullptr;
};

}  // namespace kwik::test
