using Kwik.Data;
using Microsoft.Win32.SafeHandles;

namespace Kwik.Streams;

public sealed partial class KwikStream
{
    /// <summary>
    /// Writes the whole stream to a file instead of giving it to a reader: each piece where it belongs, as soon as it is
    /// here, so that a slow server does not hold up the fast ones. Byte 0 of the stream is byte 0 of the file; what the
    /// file has behind the end stays. Ends when every byte is written, and returns how many there are. Offered content is
    /// checked before it is written.
    /// </summary>
    /// <param name="destination">Open for writing; stays open.</param>
    /// <param name="cancellationToken">
    /// Takes effect between two writes and loses nothing: called again, with the same file, it goes on.
    /// </param>
    /// <exception cref="KwikException">The stream failed; what was written of offered content is right all the same.</exception>
    /// <exception cref="IOException">The file could not be written. The stream is aborted: its bytes would be missing.</exception>
    /// <exception cref="InvalidOperationException">Something was read before, or a read is pending.</exception>
    public Task<long> CopyToAsync(SafeFileHandle destination, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(destination);
        return CopyToAsync(
            (piece, offset) => RandomAccess.WriteAsync(destination, piece, offset), cancellationToken);
    }

    /// <summary>
    /// The same, to whatever can be written at an offset: one call at a time, with pieces of at most 64 KiB, in any order.
    /// </summary>
    /// <param name="write">Writes bytes at an offset; what it throws aborts the stream, and is thrown here.</param>
    /// <param name="cancellationToken">As above.</param>
    public async Task<long> CopyToAsync(
        Func<ReadOnlyMemory<byte>, long, ValueTask> write, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(write);
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
        return Incoming.ReadOffset;
    }
}
