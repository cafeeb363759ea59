// The whole server of the library, without its threads: datagrams go through a real socket and Binding, and the caller plays the workers. One in a process.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "../tests/pki.h"
#include "configuration.h"
#include "connection.h"
#include "fuzz.h"
#include "library.h"
#include "listener.h"
#include "tls.h"

namespace kwik::fuzz {

class LiveServer {
public:
    static LiveServer& instance() {
        static LiveServer* server = new LiveServer;
        return *server;
    }

    // Connected to the server.
    int open_socket() {
        const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        require(fd >= 0 && connect(fd, &address_.base, address_.length()) == 0, "a socket");
        return fd;
    }

    // Reads what came, and lets the workers do what follows.
    void turn() {
        library_.bindings.front()->on_readable();
        // Twice, because workers and application post to each other.
        for (int round = 0; round < 2; ++round) {
            for (unsigned i = 0; i < library_.worker_count(); ++i) library_.worker(i).turn(library_.worker(i).now());
        }
    }

    // Ends all connections: every timer runs out.
    void end() {
        const auto drain = [this] {
            for (unsigned round = 0; round < 2; ++round) {
                for (unsigned i = 0; i < library_.worker_count(); ++i) library_.worker(i).drain();
            }
        };
        drain();
        for (Stream* stream : std::exchange(streams_, {})) stream->close();
        for (Connection* connection : std::exchange(connections_, {})) connection->close();
        drain();
        for (unsigned i = 0; i < library_.worker_count(); ++i) require(library_.worker(i).connections().size() == 0, "no connection is left");
    }

    std::shared_ptr<const Credential> client_credential() const { return client_; }
    std::vector<std::uint8_t> alpn_list() const { return configuration_->alpn_list; }
    const Address& address() const { return address_; }
    std::size_t accepted() const { return connections_.size(); }

private:
    LiveServer() : library_(start()) {
        const auto store = test::make_store(test::make_identity("fuzz"));
        abi::Settings settings{};
        settings.is_set = 1u << abi::Settings::peer_bidi | 1u << abi::Settings::peer_unidi | std::uint64_t{1} << abi::Settings::stream_window_bidi_remote;
        settings.peer_bidi_streams = settings.peer_unidi_streams = 8;
        settings.stream_window_bidi_remote_bytes = 1024 * 1024;
        configuration_ = new Configuration({4, 'k', 'w', 'i', 'k'}, TransportSettings::from_abi(&settings));
        const abi::CertificatePkcs12 pkcs12{store.data(), static_cast<std::uint32_t>(store.size()), nullptr};
        abi::CredentialConfig credential{};
        credential.type = abi::credential_pkcs12;
        credential.flags = 0x4000;
        credential.pkcs12 = &pkcs12;
        require(configuration_->load_credential(credential) == abi::success, "the server's credential");
        require(Credential::load({.flags = 0x4005}, client_) == 0, "the client's credential");
        listener_ = new Listener(library_, on_listener, this);
        std::uint8_t name[] = {'k', 'w', 'i', 'k'};
        const abi::Buffer alpn{4, name};
        Address loopback;
        loopback.v4.sin_family = AF_INET;
        loopback.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        require(listener_->start({&alpn, 1}, &loopback) == abi::success && listener_->local_address(address_) == abi::success, "a listener");
        turn();
    }

    static Library& start() {
        Library::open();
        Library* library = Library::running();
        require(library != nullptr, "the library");
        for (unsigned i = 0; i < library->worker_count(); ++i) library->worker(i).stop();
        return *library;
    }

    static abi::Status on_listener(abi::HandlePointer, void* context, abi::ListenerEvent* event) {
        auto& self = *static_cast<LiveServer*>(context);
        if (event->type != abi::ListenerEvent::new_connection) return abi::success;
        auto* connection = static_cast<Connection*>(static_cast<Handle*>(event->fresh.connection));
        connection->set_callback(on_connection, context);
        if (connection->set_configuration(*self.configuration_) != abi::pending) return abi::internal_error;
        self.connections_.push_back(connection);
        return abi::success;
    }

    static abi::Status on_connection(abi::HandlePointer, void* context, abi::ConnectionEvent* event) {
        auto& self = *static_cast<LiveServer*>(context);
        if (event->type != abi::ConnectionEvent::peer_stream_started) return abi::success;
        auto* stream = static_cast<Stream*>(static_cast<Handle*>(event->started.stream));
        stream->set_callback(on_stream, stream);
        event->started.flags |= abi::open_delay_id_updates;
        self.streams_.push_back(stream);
        return abi::success;
    }

    // An application of many habits: the id of a stream chooses.
    static abi::Status on_stream(abi::HandlePointer, void* context, abi::StreamEvent* event) {
        Stream& stream = *static_cast<Stream*>(context);
        const auto habit = stream.id() >> 2 & 3;
        switch (event->type) {
        case abi::StreamEvent::receive:
            if (habit == 1 && event->received.total_length > 10) {
                event->received.total_length = 10;
                return abi::keep_going;
            }
            if (habit == 2) (void)stream.shutdown(abi::shutdown_abort_receive, 7);
            if (habit == 3 && !stream.is_unidirectional()) {
                std::uint8_t byte = 1;
                const abi::Buffer buffer{1, &byte};
                (void)stream.send({&buffer, 1}, 0, nullptr);
            }
            break;
        case abi::StreamEvent::peer_send_shutdown:
        case abi::StreamEvent::peer_send_aborted:
            (void)stream.shutdown(abi::shutdown_graceful, 0);
            break;
        default:
            break;
        }
        return abi::success;
    }

    Library& library_;
    Configuration* configuration_;
    Listener* listener_;
    std::shared_ptr<const Credential> client_;
    Address address_;
    std::vector<Connection*> connections_;
    std::vector<Stream*> streams_;
};

}  // namespace kwik::fuzz
