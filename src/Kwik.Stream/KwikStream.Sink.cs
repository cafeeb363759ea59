using Kwik.Data;
using Microsoft.Win32.SafeHandles;

namespace Kwik.Streams;

public sealed partial class KwikStream
{
    // Read back from a sink at once.
    private const int ReadBackSize = 256 * 1024;

    /// <summary>
    /// Writes the whole stream to a file instead of giving it to a reader: each piece where it belongs, as soon as it is
    /// here, so that a slow server does not hold up the fast ones. Byte 0 of the stream is byte 0 of the file; what the
    /// file has behind the end stays. Ends when every byte is written, and returns how many there are; for offered
    /// content also when the file has been found to be that content, for which what came out of order is read back.
    /// </summary>
    /// <param name="destination">Open for writing, and for reading when the stream is offered; stays open.</param>
    /// <param name="cancellationToken">
    /// Takes effect between two writes and loses nothing: called again, with the same file, it goes on.
    /// </param>
    /// <exception cref="KwikException">The stream failed; <see cref="KwikError.ContentMismatch"/>: what is in the file is not
    /// the offered content, discard it.</exception>
    /// <exception cref="IOException">The file could not be written. The stream is aborted: its bytes would be missing.</exception>
    /// <exception cref="InvalidOperationException">Something was read before, or a read is pending.</exception>
    public Task<long> CopyToAsync(SafeFileHandle destination, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(destination);
        return CopyToAsync(
            (piece, offset) => RandomAccess.WriteAsync(destination, piece, offset),
            (buffer, offset) => RandomAccess.ReadAsync(destination, buffer, offset),
            cancellationToken);
    }

    /// <summary>The same, to whatever can be written and read at an offset.</summary>
    internal async Task<long> CopyToAsync(
        Func<ReadOnlyMemory<byte>, long, ValueTask> write,
        Func<Memory<byte>, long, ValueTask<int>> read,
        CancellationToken cancellationToken)
    {
        await Incoming.TakeAllAsync(
            async (piece, offset) =>
            {
                try
                {
                    await write(piece, offset);
                }
                catch (Exception e)
                {
                    var fault = new KwikException(
                        KwikError.Cancelled, KwikErrorSide.Local, $"The destination of stream {Id} failed. {e.Message}", e, streamId: Id);
                    Incoming.Break(fault);
                    Abort(fault);
                    throw;
                }
            },
            cancellationToken);
        await ConfirmEndAsync(cancellationToken);
        if (Offer is { } offer)
        {
            await VerifySinkAsync(offer, read, cancellationToken);
        }

        return Incoming.ReadOffset;
    }

    private static async ValueTask VerifySinkAsync(
        ContentOffer offer, Func<Memory<byte>, long, ValueTask<int>> read, CancellationToken cancellationToken)
    {
        using var verifier = new ContentVerifier(offer);
        var buffer = new byte[ReadBackSize];
        for (long offset = 0; offset < offer.Length;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int length = await read(buffer.AsMemory(0, (int)Math.Min(buffer.Length, offer.Length - offset)), offset);
            if (length == 0)
            {
                throw new IOException($"The destination ends at byte {offset} of {offer.Length}; something has cut it.");
            }

            verifier.Append(buffer.AsSpan(0, length));
            offset += length;
        }

        verifier.Finish();
    }
}
