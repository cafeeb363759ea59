// Certificates, keys and PKCS#12 stores made on the spot by GnuTLS, for tests of TLS. A failure throws.
#pragma once

#include <gnutls/abstract.h>
#include <gnutls/pkcs12.h>
#include <gnutls/x509.h>

#include <cstdint>
#include <ctime>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace kwik::test {

inline void ok(int code) {
    if (code < 0) throw std::runtime_error{gnutls_strerror(code)};
}

using Bytes = std::vector<std::uint8_t>;
using CertificatePtr = std::shared_ptr<std::remove_pointer_t<gnutls_x509_crt_t>>;
using KeyPtr = std::shared_ptr<std::remove_pointer_t<gnutls_x509_privkey_t>>;

struct Identity {
    CertificatePtr certificate;
    KeyPtr key;
};

inline Bytes take(gnutls_datum_t datum) {
    const Bytes bytes(datum.data, datum.data + datum.size);
    gnutls_free(datum.data);
    return bytes;
}

inline Bytes der(const CertificatePtr& certificate) {
    gnutls_datum_t out;
    ok(gnutls_x509_crt_export2(certificate.get(), GNUTLS_X509_FMT_DER, &out));
    return take(out);
}

inline KeyPtr make_key(gnutls_pk_algorithm_t algorithm) {
    gnutls_x509_privkey_t key;
    ok(gnutls_x509_privkey_init(&key));
    KeyPtr owner{key, gnutls_x509_privkey_deinit};
    ok(gnutls_x509_privkey_generate(key, algorithm, algorithm == GNUTLS_PK_RSA ? 2048 : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    return owner;
}

// Signed by `issuer`, or by itself. Valid around the real clock: nobody here checks dates.
inline Identity make_identity(const std::string& name, gnutls_pk_algorithm_t algorithm = GNUTLS_PK_ECDSA, const Identity* issuer = nullptr) {
    gnutls_x509_crt_t crt;
    ok(gnutls_x509_crt_init(&crt));
    Identity made{{crt, gnutls_x509_crt_deinit}, make_key(algorithm)};
    static unsigned char serial = 0;
    ++serial;
    ok(gnutls_x509_crt_set_version(crt, 3));
    ok(gnutls_x509_crt_set_serial(crt, &serial, 1));
    ok(gnutls_x509_crt_set_activation_time(crt, time(nullptr) - 3600));
    ok(gnutls_x509_crt_set_expiration_time(crt, time(nullptr) + 3600));
    ok(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name.data(), static_cast<unsigned>(name.size())));
    ok(gnutls_x509_crt_set_key(crt, made.key.get()));
    ok(gnutls_x509_crt_set_ca_status(crt, 1));
    const Identity& signer = issuer ? *issuer : made;
    ok(gnutls_x509_crt_sign2(crt, signer.certificate.get(), signer.key.get(), GNUTLS_DIG_SHA256, 0));
    return made;
}

// A PKCS#12 store with the keys and certificates in the order given. Its password is the empty string, because GnuTLS 3.8 cannot write a MAC for none.
inline Bytes make_store(std::initializer_list<KeyPtr> keys, std::initializer_list<CertificatePtr> certificates) {
    gnutls_pkcs12_t store;
    ok(gnutls_pkcs12_init(&store));
    const std::unique_ptr<std::remove_pointer_t<gnutls_pkcs12_t>, decltype(&gnutls_pkcs12_deinit)> store_owner{store, gnutls_pkcs12_deinit};
    constexpr const char* password = "";
    constexpr unsigned flags = GNUTLS_PKCS_PKCS12_3DES;
    const auto add_bag = [&](auto fill, bool encrypt) {
        gnutls_pkcs12_bag_t bag;
        ok(gnutls_pkcs12_bag_init(&bag));
        const std::unique_ptr<std::remove_pointer_t<gnutls_pkcs12_bag_t>, decltype(&gnutls_pkcs12_bag_deinit)> bag_owner{bag, gnutls_pkcs12_bag_deinit};
        fill(bag);
        if (encrypt) ok(gnutls_pkcs12_bag_encrypt(bag, password, flags));
        ok(gnutls_pkcs12_set_bag(store, bag));
    };
    if (certificates.size() != 0) {
        add_bag([&](auto bag) { for (const auto& certificate : certificates) ok(gnutls_pkcs12_bag_set_crt(bag, certificate.get())); }, true);
    }
    for (const auto& key : keys) {
        gnutls_datum_t pkcs8;
        ok(gnutls_x509_privkey_export2_pkcs8(key.get(), GNUTLS_X509_FMT_DER, password, flags, &pkcs8));
        const Bytes encrypted = take(pkcs8);
        const gnutls_datum_t data{const_cast<unsigned char*>(encrypted.data()), static_cast<unsigned>(encrypted.size())};
        add_bag([&](auto bag) { ok(gnutls_pkcs12_bag_set_data(bag, GNUTLS_BAG_PKCS8_ENCRYPTED_KEY, &data)); }, false);
    }
    ok(gnutls_pkcs12_generate_mac(store, password));
    gnutls_datum_t out;
    ok(gnutls_pkcs12_export2(store, GNUTLS_X509_FMT_DER, &out));
    return take(out);
}

inline Bytes make_store(const Identity& identity) { return make_store({identity.key}, {identity.certificate}); }

}  // namespace kwik::test
