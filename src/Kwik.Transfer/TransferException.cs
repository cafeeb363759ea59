using Kwik.Data;

namespace Kwik.Transfer;

/// <summary>Why a file could not be had.</summary>
public enum TransferError
{
    /// <summary>None of the others; the inner exception says what.</summary>
    Failed,

    /// <summary>The server has no such file, or does not give it.</summary>
    NotFound,

    /// <summary>No byte arrived for too long.</summary>
    Stalled,

    /// <summary>The target cannot be written: no room, no permission, no such directory.</summary>
    Disk,

    /// <summary>The target exists, and nobody said that it may be overwritten.</summary>
    TargetExists,

    /// <summary>One side did not accept the other's certificate, pin or token.</summary>
    Authentication,

    /// <summary>The bytes are not the ones that the primary vouched for.</summary>
    Verification,

    /// <summary>The server is about to stop, or serves as much as it may: who asks again later may get the file.</summary>
    Unavailable,
}

/// <summary>
/// A transfer failed. Nothing is at the target that was not there before; <see cref="FileClient.GetResumableBytes"/> says what is kept
/// beside it.
/// </summary>
public sealed class TransferException : Exception
{
    /// <summary>Makes an exception; the message is one sentence for people.</summary>
    public TransferException(TransferError error, string message, Exception? innerException = null)
        : base(message, innerException)
    {
        Error = error;
    }

    /// <summary>What happened.</summary>
    public TransferError Error { get; }

    /// <summary>A file was there when it was offered, and is not any more.</summary>
    internal static TransferException Changed(string path, KwikException e) => new(
        TransferError.Verification, $"No server has the bytes any more that '{path}' was offered with; it was changed meanwhile.", e);

    /// <summary>Says what a failure of the session or stream means for a transfer of <paramref name="path"/>.</summary>
    internal static TransferException From(KwikException e, string path) => e.Code switch
    {
        KwikError.NotFound => new(TransferError.NotFound, $"The server has no file '{path}'.", e),
        KwikError.AuthenticationFailed => new(TransferError.Authentication, e.Message, e),
        KwikError.ContentMismatch or KwikError.Checksum => new(TransferError.Verification, e.Message, e),
        KwikError.Timeout or KwikError.AggregationTimeout => new(TransferError.Stalled, e.Message, e),
        KwikError.ServerClosing => new(TransferError.Unavailable, e.Message, e),
        KwikError.LimitExceeded when e.Side == KwikErrorSide.Remote =>
            new(TransferError.Unavailable, $"The server serves as much as it may, and not '{path}' now; ask again later.", e),
        _ => new(TransferError.Failed, e.Message, e),
    };
}
