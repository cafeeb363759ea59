using Kwik.Data;

namespace Kwik.Streams;

/// <summary>Holds the bytes of a stream, in order, against the offer: the end is an end only when the root is equal.</summary>
internal sealed class ContentVerifier(ContentOffer offer) : IDisposable
{
    private readonly ContentHasher _hasher = new(offer.LeafSize);
    private ContentRoot? _root;

    public void Append(ReadOnlySpan<byte> bytes) => _hasher.Append(bytes);

    /// <summary>Checks what was appended; may be called again.</summary>
    /// <exception cref="KwikException"><see cref="KwikError.ContentMismatch"/>: these are not the offered bytes.</exception>
    public void Finish()
    {
        // Kept, because the hasher starts anew: a second call must not judge by the root of nothing.
        _root ??= _hasher.Finish();
        if (_root != offer.Root)
        {
            throw new KwikException(
                KwikError.ContentMismatch,
                KwikErrorSide.Remote,
                $"The {offer.Length} bytes received have the root {_root}, not the offered {offer.Root}; discard them.");
        }
    }

    public void Dispose() => _hasher.Dispose();
}
