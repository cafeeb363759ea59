using System.Runtime.InteropServices;
using System.Text;

namespace Kwik.Cli.Output;

/// <summary>Nobody reads standard output any more.</summary>
internal sealed class BrokenPipeException() : IOException("Nobody reads standard output any more.");

/// <summary>
/// Standard output that says when it was not written, and standard error that never does. Those of the runtime say that all
/// is well when nobody reads them, and fail when a terminal is gone.
/// </summary>
internal static partial class StandardStreams
{
    private static readonly UTF8Encoding Encoding = new(encoderShouldEmitUTF8Identifier: false);

    /// <summary>What is written to standard output, byte by byte.</summary>
    public static Stream Output { get; } = OperatingSystem.IsWindows() ? Console.OpenStandardOutput() : new Descriptor(1, isQuiet: false);

    /// <summary>Makes the console's writers of these.</summary>
    public static void Use()
    {
        if (!OperatingSystem.IsWindows())
        {
            Console.SetOut(new StreamWriter(Output, Encoding) { AutoFlush = true });
            Console.SetError(new StreamWriter(new Descriptor(2, isQuiet: true), Encoding) { AutoFlush = true });
        }
    }

    /// <summary>
    /// A file descriptor, written to as shells expect it: at the place where whoever else has it stands. When it is quiet,
    /// what cannot be written is gone: there is nobody to tell.
    /// </summary>
    private sealed partial class Descriptor(int descriptor, bool isQuiet) : Stream
    {
        // errno of Linux and of macOS.
        private const int Interrupted = 4;
        private const int BadDescriptor = 9;
        private const int BrokenPipe = 32;
        private const int GetDescriptorFlags = 1;
        private const int CloseOnExec = 1;
        private static readonly int WouldBlock = OperatingSystem.IsMacOS() ? 35 : 11;

        // What the runtime opens is closed when a program is started; what a program was started with is not. A descriptor with which it
        // was not started may be one of the runtime's own pipes by now.
        private readonly bool _isOurs = (NativeFcntl(descriptor, GetDescriptorFlags) & CloseOnExec) == 0;

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (!_isOurs)
            {
                Fail(BadDescriptor);
                return;
            }

            while (buffer.Length > 0)
            {
                nint written = NativeWrite(descriptor, buffer, buffer.Length);
                if (written >= 0)
                {
                    buffer = buffer[(int)written..];
                    continue;
                }

                int error = Marshal.GetLastPInvokeError();
                if (error == WouldBlock)
                {
                    // Somebody who has it too has made it so. It will take more when it has room.
                    WaitUntilWritable();
                }
                else if (error != Interrupted)
                {
                    Fail(error);
                    return;
                }
            }
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            new(Task.Run(() => Write(buffer.Span), cancellationToken));

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        private void Fail(int error)
        {
            if (!isQuiet)
            {
                throw error == BrokenPipe
                    ? new BrokenPipeException()
                    : new IOException($"Standard output cannot be written: {Marshal.GetPInvokeErrorMessage(error)}.");
            }
        }

        private unsafe void WaitUntilWritable()
        {
            // struct pollfd with POLLOUT.
            Span<int> poll = [descriptor, 4];
            fixed (int* entries = poll)
            {
                _ = NativePoll(entries, 1, -1);
            }
        }

        [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
        private static partial nint NativeWrite(int descriptor, ReadOnlySpan<byte> buffer, nint count);

        [LibraryImport("libc", EntryPoint = "fcntl")]
        private static partial int NativeFcntl(int descriptor, int command);

        [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
        private static unsafe partial int NativePoll(int* entries, nuint count, int timeout);
    }
}
