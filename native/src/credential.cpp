#include "credential.h"

#include <gnutls/pkcs12.h>
#include <gnutls/x509.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <new>
#include <type_traits>
#include <vector>

namespace kwik {
namespace {

// QUIC_CREDENTIAL_FLAGS that are understood.
enum Flag : std::uint32_t {
    client = 0x1,
    no_certificate_validation = 0x4,
    indicate_certificate_received = 0x10,
    require_client_authentication = 0x40,
    set_allowed_cipher_suites = 0x2000,
    use_portable_certificates = 0x4000,
};
constexpr std::uint32_t known_flags =
    client | no_certificate_validation | indicate_certificate_received | require_client_authentication | set_allowed_cipher_suites | use_portable_certificates;

// QUIC_STATUS values are numbers of errno on POSIX systems.
constexpr std::uint32_t success = 0, out_of_memory = ENOMEM, invalid_parameter = EINVAL, not_supported = EOPNOTSUPP, tls_error = ENOKEY;

template <auto Deinit>
struct DeinitBy {
    void operator()(auto* object) const noexcept { Deinit(object); }
};
template <class Handle, auto Deinit>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, DeinitBy<Deinit>>;
using Certificate = Owned<gnutls_x509_crt_t, gnutls_x509_crt_deinit>;
using PrivateKey = Owned<gnutls_x509_privkey_t, gnutls_x509_privkey_deinit>;
using Store = Owned<gnutls_pkcs12_t, gnutls_pkcs12_deinit>;
using Bag = Owned<gnutls_pkcs12_bag_t, gnutls_pkcs12_bag_deinit>;

// Thrown inside this file only: GnuTLS' error code.
struct Failure {
    int code;
};

void check(int code) {
    if (code < 0) throw Failure{code};
}

template <class Owner>
Owner made(int (*init)(typename Owner::pointer*)) {
    typename Owner::pointer handle = nullptr;
    check(init(&handle));
    return Owner{handle};
}

struct StoreContents {
    std::vector<PrivateKey> keys;
    std::vector<Certificate> certificates;
};

void read_bag(gnutls_pkcs12_bag_t bag, const char* password, StoreContents& contents) {
    const int count = gnutls_pkcs12_bag_get_count(bag);
    check(count);
    for (unsigned i = 0; i < static_cast<unsigned>(count); ++i) {
        gnutls_datum_t data;  // Belongs to the bag.
        check(gnutls_pkcs12_bag_get_data(bag, i, &data));
        switch (gnutls_pkcs12_bag_get_type(bag, i)) {
            case GNUTLS_BAG_CERTIFICATE:
                contents.certificates.push_back(made<Certificate>(gnutls_x509_crt_init));
                check(gnutls_x509_crt_import(contents.certificates.back().get(), &data, GNUTLS_X509_FMT_DER));
                break;
            case GNUTLS_BAG_PKCS8_KEY:
                contents.keys.push_back(made<PrivateKey>(gnutls_x509_privkey_init));
                check(gnutls_x509_privkey_import_pkcs8(contents.keys.back().get(), &data, GNUTLS_X509_FMT_DER, nullptr, GNUTLS_PKCS_PLAIN));
                break;
            case GNUTLS_BAG_PKCS8_ENCRYPTED_KEY:
                contents.keys.push_back(made<PrivateKey>(gnutls_x509_privkey_init));
                check(gnutls_x509_privkey_import_pkcs8(contents.keys.back().get(), &data, GNUTLS_X509_FMT_DER, password, password ? 0 : GNUTLS_PKCS_NULL_PASSWORD));
                break;
            default:
                break;  // Revocation lists and secrets are of no use here.
        }
    }
}

// gnutls_pkcs12_simple_parse would be shorter, but fails on the stores that .NET writes without a password.
StoreContents read_bags(gnutls_pkcs12_t store, const char* password) {
    StoreContents contents;
    for (int i = 0;; ++i) {
        const auto bag = made<Bag>(gnutls_pkcs12_bag_init);
        const int found = gnutls_pkcs12_get_bag(store, i, bag.get());
        if (found == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) return contents;
        check(found);
        if (gnutls_pkcs12_bag_get_type(bag.get(), 0) == GNUTLS_BAG_ENCRYPTED) check(gnutls_pkcs12_bag_decrypt(bag.get(), password));
        read_bag(bag.get(), password, contents);
    }
}

// A MAC is optional in PKCS#12, and a store without one is as trustworthy as the application that hands it over.
void verify_mac(gnutls_pkcs12_t store, const char* password) {
    const int verified = gnutls_pkcs12_verify_mac(store, password);
    if (verified != GNUTLS_E_ASN1_ELEMENT_NOT_FOUND) check(verified);
}

StoreContents read_store(const CredentialSource& source) {
    if (source.pkcs12.size() > UINT_MAX) throw Failure{GNUTLS_E_INVALID_REQUEST};
    const auto store = made<Store>(gnutls_pkcs12_init);
    const gnutls_datum_t blob{const_cast<unsigned char*>(source.pkcs12.data()), static_cast<unsigned>(source.pkcs12.size())};
    check(gnutls_pkcs12_import(store.get(), &blob, GNUTLS_X509_FMT_DER, 0));

    const auto read_with = [&](const char* password) {
        verify_mac(store.get(), password);
        return read_bags(store.get(), password);
    };
    if (source.password) return read_with(source.password);
    // "No password" is either an empty octet string or an empty C string, two different keys; who writes a store does not say which it meant.
    try {
        return read_with(nullptr);
    } catch (const Failure&) {
        return read_with("");
    }
}

using KeyId = std::array<unsigned char, 32>;

KeyId id_of(gnutls_x509_crt_t certificate) {
    KeyId id{};
    std::size_t size = id.size();
    check(gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, id.data(), &size));
    return id;
}

KeyId id_of(gnutls_x509_privkey_t key) {
    KeyId id{};
    std::size_t size = id.size();
    check(gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, id.data(), &size));
    return id;
}

bool issued(gnutls_x509_crt_t issuer, gnutls_x509_crt_t certificate) { return gnutls_x509_crt_check_issuer(certificate, issuer) != 0; }

struct Identity {
    gnutls_x509_privkey_t key = nullptr;
    std::vector<gnutls_x509_crt_t> chain;  // Leaf first, each issued by the next.
};

// The leaf is a certificate with a key in the store; where several have one (a store may carry an authority's key too) it is one that issued no other.
Identity find_leaf(const StoreContents& contents) {
    Identity found;
    for (const auto& key : contents.keys) {
        for (const auto& certificate : contents.certificates) {
            if (id_of(key.get()) != id_of(certificate.get())) continue;
            const bool issued_another = std::ranges::any_of(
                contents.certificates, [&](const Certificate& other) { return other != certificate && issued(certificate.get(), other.get()); });
            if (found.chain.empty() || !issued_another) found = {key.get(), {certificate.get()}};
            if (!issued_another) return found;
        }
    }
    if (found.chain.empty()) throw Failure{GNUTLS_E_CERTIFICATE_KEY_MISMATCH};
    return found;
}

void add_issuers(const StoreContents& contents, Identity& identity) {
    for (;;) {
        const auto next = std::ranges::find_if(contents.certificates, [&](const Certificate& candidate) {
            return std::ranges::find(identity.chain, candidate.get()) == identity.chain.end() && issued(candidate.get(), identity.chain.back());
        });
        if (next == contents.certificates.end()) return;
        identity.chain.push_back(next->get());
    }
}

void set_identity(gnutls_certificate_credentials_t target, const CredentialSource& source) {
    const StoreContents contents = read_store(source);
    Identity identity = find_leaf(contents);
    add_issuers(contents, identity);
    check(gnutls_certificate_set_x509_key(target, identity.chain.data(), static_cast<int>(identity.chain.size()), identity.key));
}

// ChaCha20 comes last because it is several times slower than AES wherever AES has instructions. The middlebox compatibility mode of TLS 1.3 is forbidden in QUIC (RFC 9001, 8.4).
std::string priority_string(std::uint32_t allowed_cipher_suites) {
    constexpr std::array<const char*, 3> suites{":+AES-128-GCM", ":+AES-256-GCM", ":+CHACHA20-POLY1305"};  // In the order of QUIC_ALLOWED_CIPHER_SUITE_FLAGS' bits.
    std::string text = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL";
    for (std::size_t i = 0; i < suites.size(); ++i) {
        if (allowed_cipher_suites >> i & 1) text += suites[i];
    }
    return text + ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1:%DISABLE_TLS13_COMPAT_MODE";
}

std::uint32_t check_source(const CredentialSource& source) {
    const std::uint32_t flags = source.flags;
    const bool asks_peer = flags & (client | require_client_authentication);
    if (flags & ~known_flags) return not_supported;
    if (!(flags & client) && source.pkcs12.empty()) return invalid_parameter;
    if ((flags & client) && (flags & require_client_authentication)) return invalid_parameter;
    if (asks_peer && !(flags & no_certificate_validation)) return not_supported;
    if ((flags & set_allowed_cipher_suites) && (source.allowed_cipher_suites & 7) == 0) return invalid_parameter;
    return success;
}

}  // namespace

std::uint32_t Credential::load(const CredentialSource& source, std::shared_ptr<const Credential>& out) noexcept {
    if (const std::uint32_t status = check_source(source); status != success) return status;
    try {
        const std::shared_ptr<Credential> credential{new Credential};
        credential->is_client_ = source.flags & client;
        credential->requires_client_certificate_ = source.flags & require_client_authentication;
        credential->indicates_certificate_ = source.flags & indicate_certificate_received;
        const auto priorities = priority_string(source.flags & set_allowed_cipher_suites ? source.allowed_cipher_suites : 7);
        check(gnutls_priority_init(&credential->priorities_, priorities.c_str(), nullptr));
        check(gnutls_certificate_allocate_credentials(&credential->certificates_));
        if (!source.pkcs12.empty()) set_identity(credential->certificates_, source);
        out = credential;
        return success;
    } catch (const Failure& failure) {
        return failure.code == GNUTLS_E_MEMORY_ERROR ? out_of_memory : tls_error;
    } catch (const std::bad_alloc&) {
        return out_of_memory;
    }
}

Credential::~Credential() {
    if (certificates_) gnutls_certificate_free_credentials(certificates_);
    if (priorities_) gnutls_priority_deinit(priorities_);
}

}  // namespace kwik
