using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>The failures that System.Net.Quic documents, as assertions.</summary>
internal static class Expect
{
    /// <summary>The peer reset the stream, or asked us to stop, with a code.</summary>
    public static Task StreamAborted(long code, Task call) => Quic(QuicError.StreamAborted, code, call);

    /// <summary>The peer closed the connection with a code.</summary>
    public static Task ConnectionAborted(long code, Task call) => Quic(QuicError.ConnectionAborted, code, call);

    /// <summary>This side aborted or closed it.</summary>
    public static Task OperationAborted(Task call) => Quic(QuicError.OperationAborted, null, call);

    public static async Task Quic(QuicError error, long? code, Task call)
    {
        QuicException e = await Assert.ThrowsAsync<QuicException>(call.Bounded);
        Assert.True(
            (error, code) == (e.QuicError, e.ApplicationErrorCode),
            $"Expected {error} with application code {code?.ToString() ?? "none"}, got {Describe(e)}");
    }

    /// <summary>With both codes, which the message of a QuicException lacks.</summary>
    public static string Describe(Exception e) => e is QuicException q
        ? $"{q.QuicError}, application code {q.ApplicationErrorCode?.ToString() ?? "none"}, "
            + $"transport code {(q.TransportErrorCode is long code ? $"0x{code:x}" : "none")}: {q.Message}"
        : e.Message;
}
