// TlsSession against peers with other habits: plain GnuTLS sessions set up for the occasion.
#include <gtest/gtest.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <string>

#include "tls_fixture.h"

namespace kwik::test {
namespace {

// A GnuTLS session for QUIC that knows nothing of ALPN.
std::unique_ptr<std::remove_pointer_t<gnutls_session_t>, decltype(&gnutls_deinit)> make_raw(const Credential& credential, unsigned side, const char* priorities, unsigned flags = GNUTLS_NO_AUTO_SEND_TICKET) {
    gnutls_session_t session;
    ok(gnutls_init(&session, side | flags | GNUTLS_NO_END_OF_EARLY_DATA));
    ok(gnutls_priority_set_direct(session, priorities, nullptr));
    ok(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credential.certificates()));
    ok(side == GNUTLS_SERVER ? ngtcp2_crypto_gnutls_configure_server_session(session) : ngtcp2_crypto_gnutls_configure_client_session(session));
    return {session, gnutls_deinit};
}

void offer_kwik(gnutls_session_t session) {
    std::string name = "kwik/1";
    const gnutls_datum_t alpn{reinterpret_cast<unsigned char*>(name.data()), static_cast<unsigned>(name.size())};
    ok(gnutls_alpn_set_protocols(session, &alpn, 1, 0));
}

constexpr const char* raw_priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE";

TEST_F(Tls, Alpn_ClientRefusesAServerWithoutIt) {
    const auto credential = server_credential();
    const auto raw = make_raw(*credential, GNUTLS_SERVER, raw_priorities);
    client_.start_client(TlsSession::client(load(client_flags), client_alpn_, server_name_), original_dcid_);
    server_.start_raw(raw.get(), client_.scid(), &original_dcid_);
    run();
    EXPECT_EQ(client_.error, NGTCP2_ERR_CRYPTO);
    EXPECT_EQ(ngtcp2_conn_get_tls_alert(client_.conn()), alert_no_application_protocol);
    EXPECT_EQ(client_.certificate_events, 0);
    EXPECT_EQ(client_.completed, 0);
}

TEST_F(Tls, Alpn_ServerRefusesAClientWithoutIt) {
    const auto credential = load(client_flags);
    const auto raw = make_raw(*credential, GNUTLS_CLIENT, raw_priorities);
    client_.start_raw(raw.get(), original_dcid_, nullptr);
    server_.start_server(TlsSession::server(server_credential(), server_alpn_), client_.scid(), original_dcid_);
    run();
    EXPECT_EQ(server_.error, NGTCP2_ERR_CRYPTO);
    EXPECT_EQ(ngtcp2_conn_get_tls_alert(server_.conn()), alert_no_application_protocol);
    EXPECT_EQ(client_.close_code_from_peer(), crypto_error + alert_no_application_protocol);
}

TEST_F(Tls, Client_FollowsAHelloRetryRequest) {
    const auto credential = server_credential();
    const auto raw = make_raw(*credential, GNUTLS_SERVER, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP384R1:%DISABLE_TLS13_COMPAT_MODE");
    offer_kwik(raw.get());
    client_.start_client(TlsSession::client(load(client_flags), client_alpn_, server_name_), original_dcid_);
    server_.start_raw(raw.get(), client_.scid(), &original_dcid_);
    run();
    ASSERT_TRUE(client_.tls().certificate_pending());
    accept_on(client_);
    run();
    HandshakeInfo info;
    ASSERT_TRUE(client_.tls().handshake_info(info));
    EXPECT_EQ(info.group, 24u);
    expect_both_completed();
}

TEST_F(Tls, Server_AsksForAnotherGroupAndKeepsAlpnOverTheRetry) {
    const auto credential = load(client_flags);
    const auto raw = make_raw(*credential, GNUTLS_CLIENT, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-FFDHE2048:+GROUP-FFDHE3072:+GROUP-SECP521R1:%DISABLE_TLS13_COMPAT_MODE");
    offer_kwik(raw.get());
    client_.start_raw(raw.get(), original_dcid_, nullptr);
    server_.start_server(TlsSession::server(server_credential(), server_alpn_), client_.scid(), original_dcid_);
    run();
    EXPECT_EQ(text(server_.tls().negotiated_alpn()), "kwik/1");
    expect_both_completed();
}

TEST_F(Tls, Server_SendsNoTicketsToAClientThatTakesThem) {
    const auto credential = load(client_flags);
    const auto raw = make_raw(*credential, GNUTLS_CLIENT, raw_priorities);
    offer_kwik(raw.get());
    client_.start_raw(raw.get(), original_dcid_, nullptr);
    server_.start_server(TlsSession::server(server_credential(), server_alpn_), client_.scid(), original_dcid_);
    run();
    expect_both_completed();
    EXPECT_EQ(client_.messages_after_handshake, 0);
}

TEST_F(Tls, Client_IgnoresTickets) {
    const auto credential = server_credential();
    const auto raw = make_raw(*credential, GNUTLS_SERVER, raw_priorities, 0);
    offer_kwik(raw.get());
    gnutls_datum_t key;
    ok(gnutls_session_ticket_key_generate(&key));
    ok(gnutls_session_ticket_enable_server(raw.get(), &key));
    client_.start_client(TlsSession::client(load(client_flags), client_alpn_, server_name_), original_dcid_);
    server_.start_raw(raw.get(), client_.scid(), &original_dcid_);
    run();
    accept_on(client_);
    run();
    gnutls_free(key.data);
    expect_both_completed();
    EXPECT_GE(client_.messages_after_handshake, 1);
}

TEST_F(Tls, Client_SendsItsCertificateWhateverAuthoritiesTheServerNames) {
    const Identity stranger = make_identity("stranger"), client_identity = make_identity("client");
    gnutls_certificate_credentials_t trusting;
    ok(gnutls_certificate_allocate_credentials(&trusting));
    gnutls_x509_crt_t authority = stranger.certificate.get(), certificate = server_identity().certificate.get();
    ok(gnutls_certificate_set_x509_trust(trusting, &authority, 1));
    ok(gnutls_certificate_set_x509_key(trusting, &certificate, 1, server_identity().key.get()));
    {
        const auto credential = server_credential();
        const auto raw = make_raw(*credential, GNUTLS_SERVER, raw_priorities);
        ok(gnutls_credentials_set(raw.get(), GNUTLS_CRD_CERTIFICATE, trusting));
        gnutls_certificate_server_set_request(raw.get(), GNUTLS_CERT_REQUEST);
        offer_kwik(raw.get());
        client_.start_client(TlsSession::client(load(client_flags, make_store(client_identity)), client_alpn_, server_name_), original_dcid_);
        server_.start_raw(raw.get(), client_.scid(), &original_dcid_);
        run();
        accept_on(client_);
        run();
        expect_both_completed();
        unsigned count = 0;
        const gnutls_datum_t* sent = gnutls_certificate_get_peers(raw.get(), &count);
        ASSERT_EQ(count, 1u);
        EXPECT_EQ(Bytes(sent->data, sent->data + sent->size), der(client_identity.certificate));
    }
    gnutls_certificate_free_credentials(trusting);
}

}  // namespace
}  // namespace kwik::test
